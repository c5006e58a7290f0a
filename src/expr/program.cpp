#include "expr/program.h"

#include <algorithm>

#include "expr/compiler.h"
#include "expr/kernels.h"
#include "expr/program_impl.h"

namespace streamobs::expr {
namespace {

constexpr std::uint32_t kNone = Program::Impl::kNone;

/// What a buffer must be able to hold; kinds of one storage may share buffers.
Kind storage_of(Kind kind) {
  if (is_integral(kind)) return Kind::integer;
  return is_text(kind) ? Kind::string : kind;
}

/// Drops the steps that no output needs, keeping the order.
void prune(const std::vector<Step>& all, const std::vector<StepId>& outputs,
           Program::Impl& program) {
  std::vector<bool> needed(all.size(), false);
  for (const StepId output : outputs) needed[output] = true;
  for (std::size_t id = all.size(); id-- > 0;) {
    if (!needed[id]) continue;
    for (const StepId arg : all[id].args) needed[arg] = true;
  }
  std::vector<StepId> renamed(all.size(), 0);
  for (std::size_t id = 0; id < all.size(); ++id) {
    if (!needed[id]) continue;
    renamed[id] = static_cast<StepId>(program.steps.size());
    program.steps.push_back(all[id]);
    for (StepId& arg : program.steps.back().args) arg = renamed[arg];
  }
  for (const StepId output : outputs) program.outputs.push_back(renamed[output]);
}

/// Finds the steps that hang on a single text column.
void find_parts(Program::Impl& program) {
  const std::size_t count = program.steps.size();
  program.part_of.assign(count, kNone);
  std::vector<std::uint32_t> part_of_column(count, kNone);
  for (StepId id = 0; id < count; ++id) {
    const Step& step = program.steps[id];
    if (step.what == Step::What::column && is_text(step.type.kind)) {
      part_of_column[id] = static_cast<std::uint32_t>(program.parts.size());
      program.parts.push_back({id, {}, {}});
    }
    if (step.what != Step::What::kernel || !step.reads_values) continue;
    std::uint32_t part = kNone;
    bool single = true;
    for (const StepId arg : step.args) {
      if (program.steps[arg].what == Step::What::constant) continue;
      const std::uint32_t of_arg =
          program.part_of[arg] != kNone ? program.part_of[arg] : part_of_column[arg];
      single = single && of_arg != kNone && (part == kNone || part == of_arg);
      part = of_arg;
    }
    if (!single || part == kNone) continue;
    program.part_of[id] = part;
    program.parts[part].steps.push_back(id);
  }
  std::vector<bool> seen(count, false);
  for (const StepId output : program.outputs) seen[output] = true;
  for (StepId id = 0; id < count; ++id) {
    for (const StepId arg : program.steps[id].args) {
      if (program.part_of[arg] != program.part_of[id]) seen[arg] = true;
    }
  }
  for (StepId id = 0; id < count; ++id) {
    if (seen[id] && program.part_of[id] != kNone) {
      program.parts[program.part_of[id]].frontier.push_back(id);
    }
  }
}

/// Gives each computed step a buffer, and the buffer on to others after the last use.
void assign_slots(Program::Impl& program) {
  const std::size_t count = program.steps.size();
  std::vector<std::size_t> last_use(count, 0);
  for (StepId id = 0; id < count; ++id) {
    last_use[id] = id;
    for (const StepId arg : program.steps[id].args) last_use[arg] = id;
  }
  for (const StepId output : program.outputs) last_use[output] = count;
  std::vector<std::vector<StepId>> ending(count + 1);
  for (StepId id = 0; id < count; ++id) ending[last_use[id]].push_back(id);

  program.slot_of.assign(count, kNone);
  std::vector<std::uint32_t> free;
  for (StepId id = 0; id < count; ++id) {
    if (program.steps[id].what == Step::What::kernel) {
      const Kind storage = storage_of(program.steps[id].type.kind);
      const auto fits = std::find_if(free.begin(), free.end(), [&](std::uint32_t slot) {
        return program.slots[slot] == storage;
      });
      if (fits != free.end()) {
        program.slot_of[id] = *fits;
        free.erase(fits);
      } else {
        program.slot_of[id] = static_cast<std::uint32_t>(program.slots.size());
        program.slots.push_back(storage);
      }
    }
    // Freed only now: a result never overwrites an argument it is computed from.
    for (const StepId ended : ending[id]) {
      if (program.slot_of[ended] != kNone) free.push_back(program.slot_of[ended]);
    }
  }
}

}  // namespace

void Program::Impl::finish() {
  for (const Step& step : steps) {
    texts.emplace_back(step.literal.text);
    most_args = std::max(most_args, step.args.size());
    if (step.what == Step::What::column) inputs_used.push_back(step.column);
  }
  std::sort(inputs_used.begin(), inputs_used.end());
  find_parts(*this);
  assign_slots(*this);
}

struct ProgramBuilder::Impl {
  explicit Impl(const Scope& scope_in) : compiler(scope_in) {}
  Compiler compiler;
  std::vector<StepId> outputs;
};

ProgramBuilder::ProgramBuilder(const Scope& scope) : impl_(std::make_unique<Impl>(scope)) {}
ProgramBuilder::~ProgramBuilder() = default;

std::optional<std::size_t> ProgramBuilder::add(const NodePtr& node, const SourceText& source,
                                               Diagnostics& diagnostics,
                                               std::optional<Kind> expected) {
  if (node == nullptr) return std::nullopt;
  const Compiler::Ref id = impl_->compiler.compile(node, source, diagnostics, expected);
  if (!id) return std::nullopt;
  impl_->outputs.push_back(*id);
  return impl_->outputs.size() - 1;
}

DataType ProgramBuilder::type(std::size_t output) const {
  return impl_->compiler.type(impl_->outputs[output]);
}

std::shared_ptr<const Program> ProgramBuilder::build() {
  auto program = std::make_unique<Program::Impl>();
  prune(impl_->compiler.steps(), impl_->outputs, *program);
  program->finish();
  return std::make_shared<const Program>(std::move(program));
}

Program::Program(std::unique_ptr<const Impl> impl) : impl_(std::move(impl)) {}
Program::~Program() = default;

std::size_t Program::outputs() const {
  return impl_->outputs.size();
}
DataType Program::type(std::size_t output) const {
  return impl_->steps[impl_->outputs[output]].type;
}
const std::vector<std::size_t>& Program::inputs_used() const {
  return impl_->inputs_used;
}
bool Program::looks_up() const {
  const std::vector<Step>& steps = impl_->steps;
  return std::any_of(steps.begin(), steps.end(),
                     [](const Step& step) { return step.kernel == kernels::lookup; });
}

}  // namespace streamobs::expr
