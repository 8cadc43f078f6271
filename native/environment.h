#pragma once

#include <napi.h>

namespace vsnd {

/** What each environment (the main thread, each worker) that loads the addon has of its own. */
struct Environment {
  Napi::FunctionReference mapping;
  Napi::FunctionReference playback_carrier;
  Napi::FunctionReference capture_carrier;
};

}  // namespace vsnd
