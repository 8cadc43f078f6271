#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <napi.h>

namespace vsnd {

/**
 * Where another addon of this process puts a stream's bytes, or gets them from, without JavaScript on the
 * way. In JavaScript it is an External with {@link kPortTag}. Both addons are built together; the tag says
 * so. Bytes are of whole frames.
 */
class Port {
 public:
  using OnMoved = void (*)(void* listener, uint64_t position);

  Port(const Port&) = delete;
  Port& operator=(const Port&) = delete;

  /** Playback, by one thread: takes as many as have room, none once the stream is closed. */
  virtual size_t Write(const uint8_t* bytes, size_t length) = 0;
  /** Capture, by one thread: gives as many as there are. */
  virtual size_t Read(uint8_t* into, size_t length) = 0;
  /** Bytes that can be read. */
  virtual size_t Readable() = 0;
  /**
   * Has `on_moved` called with the position whenever that has moved: in any thread, briefly. It is the bytes
   * that were played since OPEN, or for capture the bytes that could ever be read. Null: not any more, from
   * when this returns. Returns the position.
   */
  virtual uint64_t Listen(OnMoved on_moved, void* listener) = 0;

  /** One who has it more, and one less: the last one's ends it. */
  void Keep() { holders_++; }
  void Release() {
    if (--holders_ == 0) delete this;
  }

 protected:
  Port() = default;
  virtual ~Port() = default;

 private:
  std::atomic<int> holders_{1};
};

/** Its last number is the version of {@link Port}. */
constexpr napi_type_tag kPortTag = {0x76736e642d706f72, 0x7400000000000002};

/** For JavaScript, which holds the port as long as it has the value. */
inline Napi::Value WrapPort(Napi::Env env, Port* port) {
  port->Keep();
  auto external = Napi::External<Port>::New(env, port, [](Napi::Env, Port* kept) { kept->Release(); });
  napi_type_tag_object(env, external, &kPortTag);
  return external;
}

/** Null, and a TypeError thrown, where it is none. */
inline Port* UnwrapPort(Napi::Env env, const Napi::Value& value) {
  bool is_port = false;
  if (value.IsExternal()) napi_check_object_type_tag(env, value, &kPortTag, &is_port);
  if (is_port) return value.As<Napi::External<Port>>().Data();
  Napi::TypeError::New(env, "allowed is a port").ThrowAsJavaScriptException();
  return nullptr;
}

}  // namespace vsnd
