#pragma once

#include <cstddef>
#include <cstdint>

#include <napi.h>

namespace vsnd {

/**
 * Where another addon of this process puts a stream's bytes, or gets them from, without JavaScript on the way. In JavaScript it is
 * an External with {@link kPortTag}. Both addons are built together; `version` says so. Bytes are of whole frames.
 */
struct Port {
  static constexpr uint32_t kVersion = 1;

  /** Playback, by one thread: takes as many as have room, none once the stream is closed. */
  size_t (*write)(Port* port, const uint8_t* bytes, size_t length);
  /** Capture, by one thread: gives as many as there are. */
  size_t (*read)(Port* port, uint8_t* into, size_t length);
  /** Bytes that can be read. */
  size_t (*readable)(Port* port);
  /**
   * Has `on_moved` called with the position, bytes since the stream was opened, whenever that has moved: in any thread, briefly.
   * Null: not any more, from when this returns. Returns the position.
   */
  uint64_t (*listen)(Port* port, void (*on_moved)(void* listener, uint64_t position), void* listener);
  /** One who holds it more, and one less: the last one's ends it. */
  void (*hold)(Port* port);
  void (*release)(Port* port);
};

constexpr napi_type_tag kPortTag = {0x76736e642d706f72, 0x7400000000000000 + Port::kVersion};

}  // namespace vsnd
