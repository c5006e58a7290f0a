#include <algorithm>
#include <cassert>
#include <cstring>

#include "expr/compiler.h"
#include "expr/dictionary_cache.h"
#include "expr/program.h"
#include "expr/program_impl.h"

namespace streamobs::expr {
namespace {

constexpr std::size_t kMaxRows = Evaluator::kMaxRows;
constexpr std::uint32_t kNone = Program::Impl::kNone;

/// The memory of one result; which arrays it has follows from what it must hold.
struct Buffer {
  PodVector<std::uint8_t> nulls;
  PodVector<std::uint8_t> bools;
  PodVector<std::int64_t> ints;
  PodVector<double> floats;
  PodVector<std::string_view> strings;
  PodVector<Dictionary::Id> ids;

  void prepare(Kind storage) {
    nulls.resize(kMaxRows, 0);
    switch (storage) {
      case Kind::boolean:
        bools.resize(kMaxRows, 0);
        break;
      case Kind::floating:
        floats.resize(kMaxRows, 0);
        break;
      case Kind::string:
        strings.resize(kMaxRows, {});
        ids.resize(kMaxRows, 0);
        break;
      default:
        ints.resize(kMaxRows, 0);
        break;
    }
  }
};

/// A result is NULL where any argument is; true where there can be a NULL.
bool unite_nulls(std::span<const ColumnView> args, std::size_t rows, std::uint8_t* out) {
  bool any = false;
  for (const ColumnView& arg : args) {
    if (arg.nulls == nullptr) continue;
    if (arg.constant) {
      if (arg.nulls[0] == 0) continue;
      std::memset(out, 1, rows);
      return true;
    }
    if (any) {
      for (std::size_t i = 0; i < rows; ++i) out[i] |= arg.nulls[i];
    } else {
      std::memcpy(out, arg.nulls, rows);
    }
    any = true;
  }
  return any;
}

/// out = results of the entry of each row; rows that are NULL take index 0.
template <class T>
void gather(T* __restrict out, const T* results, const ColumnView& column, std::size_t rows) {
  const Dictionary::Id* const ids = column.ids;
  if (column.nulls == nullptr) {
    for (std::size_t i = 0; i < rows; ++i) out[i] = results[ids[i] + 1];
  } else {
    for (std::size_t i = 0; i < rows; ++i) {
      out[i] = results[column.nulls[i] != 0 ? 0 : std::size_t{ids[i]} + 1];
    }
  }
}

}  // namespace

struct Evaluator::Impl {
  explicit Impl(std::shared_ptr<const Program> program_in);

  void run(std::span<const ColumnView> inputs, std::size_t rows, Timestamp now);
  void execute(StepId id, std::size_t rows);
  const ColumnView& decoded(StepId id, std::size_t rows);
  ColumnView empty_result(StepId id);
  bool prepare_part(std::uint32_t part, std::size_t rows);
  void compute_entries(const DictionaryPart& part, EntryTable& table, std::size_t rows);
  void keep_entries(StepId id, EntryTable& table, std::size_t rows);
  void look_up(StepId id, std::size_t rows);

  std::shared_ptr<const Program> owner;
  const Program::Impl& program;
  const bool looks_up;
  std::shared_ptr<const LookupTables> lookups;
  Scratch scratch;
  Timestamp now_cell = 0;
  std::vector<ColumnView> views;          ///< By step.
  std::vector<Buffer> buffers;            ///< By slot.
  std::vector<ColumnView> args;           ///< Of the step being run.
  std::vector<ColumnView> decoded_views;  ///< By step: a dictionary column as texts.
  std::vector<PodVector<std::string_view>> decoded_texts;
  std::vector<std::uint8_t> is_decoded;              ///< By step, for this run.
  std::vector<DictionaryCache> caches;               ///< By part.
  std::vector<EntryTable*> tables;                   ///< By part; null: row by row in this run.
  std::vector<std::uint32_t> frontier_index;         ///< By step, within its part.
  std::vector<std::unique_ptr<Dictionary>> derived;  ///< By step: the texts a part has made.
};

Evaluator::Impl::Impl(std::shared_ptr<const Program> program_in)
    : owner(std::move(program_in)), program(owner->impl()), looks_up(owner->looks_up()) {
  const std::size_t count = program.steps.size();
  views.resize(count);
  decoded_views.resize(count);
  decoded_texts.resize(count);
  is_decoded.assign(count, 0);
  frontier_index.assign(count, kNone);
  derived.resize(count);
  args.resize(program.most_args);
  caches.resize(program.parts.size());
  tables.assign(program.parts.size(), nullptr);
  buffers.resize(program.slots.size());
  for (std::size_t i = 0; i < buffers.size(); ++i) buffers[i].prepare(program.slots[i]);
  for (const DictionaryPart& part : program.parts) {
    for (std::size_t i = 0; i < part.frontier.size(); ++i) {
      const StepId id = part.frontier[i];
      frontier_index[id] = static_cast<std::uint32_t>(i);
      if (is_text(program.steps[id].type.kind)) {
        derived[id] = std::make_unique<Dictionary>(Dictionary::kMaxEntries);
      }
    }
  }
  for (StepId id = 0; id < count; ++id) {
    const Step& step = program.steps[id];
    if (step.what == Step::What::constant) {
      views[id] = constant_view(step.literal, program.texts[id]);
    } else if (step.what == Step::What::now) {
      views[id].type = step.type;
      views[id].constant = true;
      views[id].ints = &now_cell;
    }
  }
}

void Evaluator::Impl::run(std::span<const ColumnView> inputs, std::size_t rows, Timestamp now) {
  assert(rows <= kMaxRows);
  scratch.clear();
  now_cell = now;
  for (StepId id = 0; id < program.steps.size(); ++id) {
    is_decoded[id] = 0;
    if (program.steps[id].what == Step::What::column) {
      views[id] = inputs[program.steps[id].column];
    }
  }
  for (std::uint32_t part = 0; part < program.parts.size(); ++part) {
    if (!prepare_part(part, rows)) tables[part] = nullptr;
  }
  for (StepId id = 0; id < program.steps.size(); ++id) {
    if (program.steps[id].what != Step::What::kernel) continue;
    const std::uint32_t part = program.part_of[id];
    if (part == kNone || tables[part] == nullptr) {
      execute(id, rows);
    } else if (frontier_index[id] != kNone) {
      look_up(id, rows);
    }
  }
}

/// A view at the step's buffer, whatever is in it.
ColumnView Evaluator::Impl::empty_result(StepId id) {
  const Buffer& buffer = buffers[program.slot_of[id]];
  ColumnView view;
  view.type = program.steps[id].type;
  switch (view.type.kind) {
    case Kind::boolean:
      view.bools = buffer.bools.data();
      break;
    case Kind::floating:
      view.floats = buffer.floats.data();
      break;
    case Kind::string:
    case Kind::map:
      view.strings = buffer.strings.data();
      break;
    default:
      view.ints = buffer.ints.data();
      break;
  }
  return view;
}

void Evaluator::Impl::execute(StepId id, std::size_t rows) {
  const Step& step = program.steps[id];
  bool constant = true;
  for (std::size_t i = 0; i < step.args.size(); ++i) {
    const StepId arg = step.args[i];
    const bool decode = views[arg].dictionary != nullptr && step.reads_values;
    args[i] = decode ? decoded(arg, rows) : views[arg];
    constant = constant && args[i].constant;
  }
  Buffer& buffer = buffers[program.slot_of[id]];
  Frame frame;
  frame.rows = constant ? 1 : rows;
  frame.args = std::span<const ColumnView>(args.data(), step.args.size());
  frame.type = step.type;
  frame.a = step.a;
  frame.b = step.b;
  frame.scratch = &scratch;
  frame.lookups = lookups.get();
  frame.nulls = buffer.nulls.data();
  frame.bools = buffer.bools.data();
  frame.ints = buffer.ints.data();
  frame.floats = buffer.floats.data();
  frame.strings = buffer.strings.data();
  frame.has_nulls = step.strict && unite_nulls(frame.args, frame.rows, frame.nulls);
  step.kernel(frame);
  ColumnView& view = views[id];
  view = empty_result(id);
  view.constant = constant;
  view.nulls = frame.has_nulls ? buffer.nulls.data() : nullptr;
}

const ColumnView& Evaluator::Impl::decoded(StepId id, std::size_t rows) {
  ColumnView& out = decoded_views[id];
  if (is_decoded[id] != 0) return out;
  const ColumnView& in = views[id];
  PodVector<std::string_view>& texts = decoded_texts[id];
  texts.resize(kMaxRows);
  const std::size_t count = in.constant ? 1 : rows;
  for (std::size_t i = 0; i < count; ++i) {
    texts[i] = in.is_null(i) ? std::string_view() : (*in.dictionary)[in.ids[i]];
  }
  out = in;
  out.dictionary = nullptr;
  out.ids = nullptr;
  out.strings = texts.data();
  is_decoded[id] = 1;
  return out;
}

/// Brings the part's table up to the ids of this run; false: the part must go row by row.
bool Evaluator::Impl::prepare_part(std::uint32_t index, std::size_t rows) {
  const DictionaryPart& part = program.parts[index];
  const ColumnView column = views[part.column];
  if (column.dictionary == nullptr || part.frontier.empty()) return false;
  EntryTable& table = caches[index].table(column.dictionary->serial(), part.frontier.size());
  if (table.unusable) return false;
  tables[index] = &table;

  std::size_t wanted = 0;
  const std::size_t count = column.constant ? 1 : rows;
  if (column.nulls == nullptr) {
    for (std::size_t i = 0; i < count; ++i)
      wanted = std::max<std::size_t>(wanted, column.ids[i] + 1);
  } else {
    for (std::size_t i = 0; i < count; ++i) {
      // The id beside a NULL need not be one.
      const std::size_t end = column.nulls[i] != 0 ? 0 : std::size_t{column.ids[i]} + 1;
      wanted = std::max(wanted, end);
    }
  }
  const bool fresh = table.results[0].nulls.empty();
  if (!fresh && wanted <= table.entries) return true;

  // The column is replaced by the entries themselves, and the part's steps are run over them.
  PodVector<std::string_view>& texts = decoded_texts[part.column];
  texts.resize(kMaxRows);
  ColumnView entries;
  entries.type = column.type;
  entries.strings = texts.data();
  if (fresh) {
    static constexpr std::uint8_t kNull = 1;
    texts[0] = {};
    entries.nulls = &kNull;
    views[part.column] = entries;
    compute_entries(part, table, 1);
    entries.nulls = nullptr;
  }
  views[part.column] = entries;
  while (table.entries < wanted && !table.unusable) {
    const std::size_t chunk = std::min(wanted - table.entries, kMaxRows);
    for (std::size_t i = 0; i < chunk; ++i) {
      texts[i] = (*column.dictionary)[static_cast<Dictionary::Id>(table.entries + i)];
    }
    compute_entries(part, table, chunk);
    table.entries += chunk;
  }
  views[part.column] = column;
  if (table.unusable) table.results.clear();
  return !table.unusable;
}

void Evaluator::Impl::compute_entries(const DictionaryPart& part, EntryTable& table,
                                      std::size_t rows) {
  for (const StepId id : part.steps) {
    execute(id, rows);
    // At once: a later step may get the same buffer.
    if (frontier_index[id] != kNone) keep_entries(id, table, rows);
  }
  scratch.clear();
}

void Evaluator::Impl::keep_entries(StepId id, EntryTable& table, std::size_t rows) {
  EntryResults& results = table.results[frontier_index[id]];
  const ColumnView& view = views[id];
  const bool first = results.nulls.empty();
  for (std::size_t i = 0; i < rows; ++i) {
    const bool null = view.is_null(i);
    results.nulls.push_back(null);
    results.any_null = results.any_null || (null && !first);
    switch (view.type.kind) {
      case Kind::boolean:
        results.bools.push_back(view.bool_at(i));
        break;
      case Kind::floating:
        results.floats.push_back(view.float_at(i));
        break;
      case Kind::string:
      case Kind::map: {
        const Dictionary::Id text = null ? 0 : derived[id]->intern(view.string_at(i));
        table.unusable = table.unusable || text == Dictionary::kNone;
        results.ids.push_back(text);
        break;
      }
      default:
        results.ints.push_back(view.int_at(i));
        break;
    }
  }
}

void Evaluator::Impl::look_up(StepId id, std::size_t rows) {
  const std::uint32_t part = program.part_of[id];
  const EntryResults& results = tables[part]->results[frontier_index[id]];
  const ColumnView& column = views[program.parts[part].column];
  const std::size_t count = column.constant ? 1 : rows;
  Buffer& buffer = buffers[program.slot_of[id]];
  ColumnView& view = views[id];
  view = empty_result(id);
  view.constant = column.constant;
  switch (view.type.kind) {
    case Kind::boolean:
      gather(buffer.bools.data(), results.bools.data(), column, count);
      break;
    case Kind::floating:
      gather(buffer.floats.data(), results.floats.data(), column, count);
      break;
    case Kind::string:
    case Kind::map:
      gather(buffer.ids.data(), results.ids.data(), column, count);
      view.strings = nullptr;
      view.ids = buffer.ids.data();
      view.dictionary = derived[id].get();
      break;
    default:
      gather(buffer.ints.data(), results.ints.data(), column, count);
      break;
  }
  if (results.any_null || (column.nulls != nullptr && results.nulls[0] != 0)) {
    gather(buffer.nulls.data(), results.nulls.data(), column, count);
    view.nulls = buffer.nulls.data();
  }
}

Evaluator::Evaluator(std::shared_ptr<const Program> program)
    : impl_(std::make_unique<Impl>(std::move(program))) {}
Evaluator::~Evaluator() = default;
Evaluator::Evaluator(Evaluator&&) noexcept = default;

void Evaluator::run(std::span<const ColumnView> inputs, std::size_t rows, Timestamp now) {
  impl_->run(inputs, rows, now);
}

void Evaluator::set_lookups(const std::shared_ptr<const LookupTables>& tables) {
  if (impl_->lookups == tables || !impl_->looks_up) return;
  impl_->lookups = tables;
  // What was found in the old ones may be something else now.
  for (DictionaryCache& cache : impl_->caches) cache = DictionaryCache();
}

const ColumnView& Evaluator::output(std::size_t i) const {
  return impl_->views[impl_->program.outputs[i]];
}

std::uint64_t Evaluator::overflows() const {
  return impl_->scratch.overflows;
}

}  // namespace streamobs::expr
