// The makers of the sources, one file each; make_source() chooses among them.
#pragma once

#include <memory>

#include "source/block_reader.h"
#include "source/source.h"

namespace streamobs::source {

std::unique_ptr<Source> make_file_source(SourceSetup setup, SourceRuntime runtime);
std::unique_ptr<Source> make_stdin_source(SourceSetup setup, SourceRuntime runtime);
/// As make_stdin_source, from another descriptor (which it takes over).
std::unique_ptr<Source> make_pipe_source(SourceSetup setup, SourceRuntime runtime, int fd);
Result<std::unique_ptr<Source>> make_demo_source(SourceSetup setup, SourceRuntime runtime);

std::unique_ptr<Source> make_kafka_source(SourceSetup setup, SourceRuntime runtime);

/// What the cutter shall do for a source of this setup.
BlockReaderOptions reader_options(const SourceSetup& setup, bool growing);
/// `cut` from `name`, as the engine wants it. Text read line by line is NDJSON where JSON is said.
Block to_block(CutBlock cut, const SourceSetup& setup, const std::string& name);

}  // namespace streamobs::source
