// What the API and the live stream write besides results (event/result_json): the shapes of
// docs/api.md.
#pragma once

#include "base/json_writer.h"
#include "event/result_json.h"
#include "serve/letter_replay.h"
#include "serve/state.h"
#include "store/database.h"
#include "store/options.h"

namespace streamobs::serve {

void write(JsonWriter& json, const store::StoredDeadLetter& stored);
void write(JsonWriter& json, const ReplayReport& report);
void write(JsonWriter& json, const StreamInfo& info, const StreamState& state);
void write(JsonWriter& json, const WindowInfo& info);
/// Of a view.
void write(JsonWriter& json, const RowSource& view);
void write(JsonWriter& json, const Pulse& pulse);
/// The members of /api/v1/pipeline that follow version and uptime; within an open object.
void write_members(JsonWriter& json, const PipelineState& state);

}  // namespace streamobs::serve
