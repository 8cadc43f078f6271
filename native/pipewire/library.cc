#include "library.h"

#include <uv.h>

#include "../engine/lock.h"

namespace vsnd {

namespace {

/** The same in 0.3 and in 1.x. */
constexpr char kName[] = "libpipewire-0.3.so.0";

/** Of the process: every thread of JavaScript loads the addon once, and PipeWire may be started once. */
Lock lock;
Library library;
bool is_loaded = false;

bool Load(uv_lib_t* handle, std::string* error) {
#define VSND_LOAD(name)                                                        \
  if (uv_dlsym(handle, #name, reinterpret_cast<void**>(&library.name)) != 0) { \
    *error = uv_dlerror(handle);                                               \
    return false;                                                              \
  }
  VSND_PIPEWIRE_FUNCTIONS(VSND_LOAD)
#undef VSND_LOAD
  return true;
}

}  // namespace

const Library* LoadLibrary(std::string* error) {
  Hold hold(lock);
  if (is_loaded) return &library;
  uv_lib_t handle;
  if (uv_dlopen(kName, &handle) != 0) {
    *error = uv_dlerror(&handle);
    uv_dlclose(&handle);
    return nullptr;
  }
  if (!Load(&handle, error)) return nullptr;
  library.pw_init(nullptr, nullptr);
  is_loaded = true;
  return &library;
}

}  // namespace vsnd
