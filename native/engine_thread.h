#pragma once

#include <napi.h>
#include <uv.h>

#include <memory>
#include <optional>
#include <vector>

#include "engine/loop.h"

namespace vsnd {

/** Something that the thread may have news for. */
class Woken {
 public:
  virtual ~Woken() = default;
  /** In JavaScript's thread. */
  virtual void HandleWake(napi_async_context context) = 0;
};

/** A loop of its own thread, and the way of its news into the event loop of JavaScript. Outlives its
 * JavaScript object as long as libuv has its handle, and ends with its environment. */
class EngineThread : public std::enable_shared_from_this<EngineThread> {
 public:
  EngineThread(Napi::Env env, Fd evtchn, std::string device, double now);

  Loop& loop() { return loop_; }

  /** Calls `onReadable` whenever there are ports to be read, or an error. Throws what libuv refuses. */
  void Start(Napi::Function on_readable);
  /** Ends the thread and closes the device. Idempotent. */
  void Close();

  void Add(Woken* woken) { woken_.push_back(woken); }
  void Remove(Woken* woken);

 private:
  bool Open();
  static void OnNews(uv_async_t* handle);
  static void OnEnvironmentEnd(napi_async_cleanup_hook_handle hook, void* thread);
  static void OnClosed(uv_handle_t* handle);

  Napi::Env env_;
  std::string device_;
  Napi::FunctionReference on_readable_;
  std::optional<Napi::AsyncContext> context_;
  std::vector<Woken*> woken_;
  uv_async_t async_ = {};
  napi_async_cleanup_hook_handle hook_ = nullptr;
  bool is_closed_ = false;
  /** Set while libuv has async_. */
  std::shared_ptr<EngineThread> self_;
  // Last: its thread ends before everything else here.
  Loop loop_;
};

}  // namespace vsnd
