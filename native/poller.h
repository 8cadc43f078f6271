#pragma once

#include <napi.h>
#include <uv.h>

#include <memory>
#include <optional>
#include <string>

#include "posix.h"

namespace vsnd {

/**
 * An open device for which the event loop waits. It outlives its JavaScript object until libuv has let
 * go of it, and ends with its environment.
 */
class Poller : public std::enable_shared_from_this<Poller> {
 public:
  Poller(Napi::Env env, Fd fd, std::string device)
      : env_(env), fd_(std::move(fd)), device_(std::move(device)) {}
  virtual ~Poller() = default;

  /** -1 once closed. */
  int fd() const { return fd_.get(); }
  const std::string& device() const { return device_; }

  /**
   * Calls `onReady` whenever there is input, or room with UV_WRITABLE, or an error that read() or write()
   * will tell of; an error also ends the polling. Called again, it goes on with another function. Does not
   * hold the process. Throws what libuv refuses.
   */
  void Start(Napi::Function onReady, int events = UV_READABLE);

  /** From its start on, it holds the process. */
  void HoldProcess() {
    if (self_) uv_ref(reinterpret_cast<uv_handle_t*>(&poll_));
  }

  /** Until the next start `onReady` is not called, and the event loop does not look. Idempotent. */
  void Stop();

  /** read(into): one read(2) into a Uint8Array: bytes read; undefined where nothing is. */
  Napi::Value ReadInto(const Napi::CallbackInfo& info);

  /** Idempotent. `onReady` is not called any more. */
  void Close();

 private:
  static void OnPoll(uv_poll_t* handle, int status, int events);
  static void OnEnvironmentEnd(napi_async_cleanup_hook_handle hook, void* poller);
  static void OnClosed(uv_handle_t* handle);

  /** True where the descriptor must not be closed before the process ends; asked once. */
  virtual bool StaysOpen() { return false; }

  bool Open();

  Napi::Env env_;
  Fd fd_;
  std::string device_;
  Napi::FunctionReference on_ready_;
  std::optional<Napi::AsyncContext> context_;
  uv_poll_t poll_ = {};
  napi_async_cleanup_hook_handle hook_ = nullptr;
  /** Set while libuv has poll_. */
  std::shared_ptr<Poller> self_;
};

}  // namespace vsnd
