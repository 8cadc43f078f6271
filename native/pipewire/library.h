// libpipewire, where the machine has it: whoever has none can still load the addon.
#pragma once

#include <pipewire/pipewire.h>

#include <string>

namespace vsnd {

/** All that is called of it; the rest of its headers is inline. */
#define VSND_PIPEWIRE_FUNCTIONS(F) \
  F(pw_init)                       \
  F(pw_get_library_version)        \
  F(pw_loop_new)                   \
  F(pw_loop_destroy)               \
  F(pw_context_new)                \
  F(pw_context_connect)            \
  F(pw_context_destroy)            \
  F(pw_context_get_data_loop)      \
  F(pw_data_loop_get_loop)         \
  F(pw_core_disconnect)            \
  F(pw_properties_new)             \
  F(pw_properties_set)             \
  F(pw_stream_new)                 \
  F(pw_stream_add_listener)        \
  F(pw_stream_connect)             \
  F(pw_stream_destroy)             \
  F(pw_stream_dequeue_buffer)      \
  F(pw_stream_queue_buffer)        \
  F(pw_stream_trigger_process)     \
  F(pw_stream_update_params)       \
  F(pw_stream_set_control)         \
  F(pw_stream_get_node_id)

struct Library {
#define VSND_MEMBER(name) decltype(&::name) name = nullptr;
  VSND_PIPEWIRE_FUNCTIONS(VSND_MEMBER)
#undef VSND_MEMBER
};

/** Loads it once in a process, for good. Null, with why in `error`, where that fails. */
const Library* LoadLibrary(std::string* error);

}  // namespace vsnd
