// `streamobs kafka topics`: the topics that a config needs, against those that there are.
#pragma once

#include "app/plan.h"

namespace streamobs::app {

/// Prints them, a line each; with `create` makes what is missing, as [topic.NAME] says. 0, or the
/// exit code of what went wrong (it has been said).
int show_topics(const Plan& plan, bool create);

}  // namespace streamobs::app
