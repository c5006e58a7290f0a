// Whether a filter of dead letters names what there never was: a typo, which finds nothing and
// looks as if all were well.
//
// Pure.
#pragma once

#include <string>
#include <vector>

#include "app/plan.h"
#include "store/database.h"
#include "store/query.h"

namespace streamobs::app {

/// In words: the first reason or stream that neither a letter ever had (`counts`) nor an event can
/// be refused for, with those that letters had. Empty: they are all known. `plan` may be null (a
/// database by itself): then a check that never refused anything is not known either.
std::string unknown_name(const store::ListQuery& filter,
                         const std::vector<store::DeadLetterCount>& counts, const Plan* plan);

}  // namespace streamobs::app
