#include "window/template_column.h"

#include <stdexcept>
#include <utility>

#include <fmt/format.h>

#include "base/bytes.h"

namespace streamobs::window {

namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kTextsMax = 1 << 12;

/// With "" as its first entry, which stands beside a null.
std::shared_ptr<Dictionary> new_dictionary() {
  auto dictionary = std::make_shared<Dictionary>(kTextsMax);
  dictionary->intern("");
  return dictionary;
}

enum Place : std::size_t { text_column, id_column, is_new_column, kPlaces };

}  // namespace

TemplateColumn::TemplateColumn(const StreamSchema& schema, const TemplateOptions& options)
    : schema_(schema), options_(options), miner_(options.templates_max), texts_(new_dictionary()) {
  if (options.field >= schema.fields.size() ||
      schema.fields[options.field].type.kind != Kind::string) {
    throw std::invalid_argument("templates: no such field, or none of text");
  }
}

TemplateCounts TemplateColumn::process(EventBatch& batch) {
  batch.mined.resize(kPlaces);
  for (Column& column : batch.mined) {
    column.clear();
    column.nulls.resize(batch.rows, 0);
  }
  Column& texts = batch.mined[text_column];
  Column& ids = batch.mined[id_column];
  Column& is_new = batch.mined[is_new_column];
  texts.type = {Kind::string, 0};
  ids.type = {Kind::integer, 0};
  is_new.type = {Kind::boolean, 0};
  texts.ids.resize(batch.rows, 0);
  texts.dictionary = texts_;
  ids.ints.resize(batch.rows, 0);
  is_new.bools.resize(batch.rows, 0);

  const ColumnView messages = batch.columns.at(options_.field).view();
  const std::uint64_t forgotten = miner_.forgotten();
  TemplateCounts counts;
  for (std::size_t row = 0; row < batch.rows; ++row) {
    const bool excluded = !batch.excluded.empty() && batch.excluded[row] != 0;
    TemplateMiner::Found found;
    if (!excluded && !messages.is_null(row)) found = miner_.add(messages.string_at(row));
    if (found.id == 0) {
      for (Column& column : batch.mined) {
        column.has_nulls = true;
        column.nulls[row] = 1;
      }
      continue;
    }
    ids.ints[row] = static_cast<std::int64_t>(found.id);
    if (first_time_ == kMaxTimestamp) first_time_ = batch.time[row];
    const bool called_new = found.is_new && is_known_for(batch.time[row], options_.learn);
    is_new.bools[row] = called_new ? 1 : 0;
    counts.called_new += called_new ? 1 : 0;
    set_text(batch, texts, row, found.text);
  }
  if (grown_ != nullptr) texts_ = std::exchange(grown_, nullptr);
  if (texts.dictionary != nullptr) texts.dictionary = texts_;
  counts.forgotten = miner_.forgotten() - forgotten;
  return counts;
}

/// Whether the stream's messages have been looked at for so long by then.
bool TemplateColumn::is_known_for(Timestamp time, Duration learn) const {
  Timestamp learnt = 0;
  return learn == 0 || (!__builtin_add_overflow(first_time_, learn, &learnt) && time >= learnt);
}

void TemplateColumn::set_text(EventBatch& batch, Column& texts, std::size_t row,
                              std::string_view text) {
  if (texts.dictionary == nullptr) {
    texts.strings[row] = batch.text.keep(text);
    return;
  }
  if (grown_ == nullptr) {
    texts.ids[row] = texts_->find(text);
    if (texts.ids[row] != Dictionary::kNone) return;
    begin_to_grow(texts, row);
  }
  texts.ids[row] = grown_->intern(text);
  if (texts.ids[row] != Dictionary::kNone) return;
  // More than a dictionary holds in one batch: it has plain texts.
  texts.strings.resize(batch.rows, {});
  for (std::size_t i = 0; i < row; ++i) texts.strings[i] = batch.text.keep((*grown_)[texts.ids[i]]);
  texts.strings[row] = batch.text.keep(text);
  texts.ids.clear();
  texts.dictionary.reset();
  grown_ = new_dictionary();
}

/// The batch has a text that is new: from `row` on it is written with a dictionary that holds it.
void TemplateColumn::begin_to_grow(Column& texts, std::size_t row) {
  grown_ = new_dictionary();
  if (texts_->size() <= kTextsMax / 2) {
    for (Dictionary::Id id = 1; id < texts_->size(); ++id) grown_->intern((*texts_)[id]);
    return;
  }
  // Mostly of what templates were called before they lost words.
  for (std::size_t i = 0; i < row; ++i) texts.ids[i] = grown_->intern((*texts_)[texts.ids[i]]);
}

void TemplateColumn::snapshot(std::string& out) const {
  put_u8(out, kVersion);
  put_text(out, schema_.stream);
  put_text(out, field_name());
  put_signed(out, first_time_);
  miner_.snapshot(out);
}

Result<std::string> TemplateColumn::restore(std::string_view snapshot) {
  const auto corrupt = [this](std::string_view what) {
    return fail(ErrorCode::corrupt,
                fmt::format("templates of stream {}: {}", schema_.stream, what));
  };
  ByteReader in(snapshot);
  const std::uint8_t version = in.u8();
  if (!in.ok()) return corrupt("empty");
  if (version != kVersion) return corrupt(fmt::format("version {} is not known", version));
  if (in.text() != schema_.stream || !in.ok()) return corrupt("they are of another stream");
  const std::string_view field = in.text();
  const Timestamp first_time = in.signed_varint();
  if (!in.ok()) return corrupt("damaged");
  if (field != field_name()) return std::string(field);
  if (Result<> read = miner_.restore(snapshot.substr(snapshot.size() - in.left()));
      read.has_error()) {
    return read.error();
  }
  first_time_ = first_time;
  return std::string();
}

}  // namespace streamobs::window
