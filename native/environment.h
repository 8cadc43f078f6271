#pragma once

#include <napi.h>

namespace vsnd {

/** What each environment (the main thread, each worker) that loads the addon has of its own. */
struct Environment {
  Napi::FunctionReference mapping;
};

}  // namespace vsnd
