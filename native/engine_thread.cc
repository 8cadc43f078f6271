#include "engine_thread.h"

#include <algorithm>

#include "callback.h"

namespace vsnd {

EngineThread::EngineThread(Napi::Env env, Fd evtchn, std::string device, double now)
    : env_(env),
      device_(device),
      loop_(
          std::move(evtchn), std::move(device), now,
          [](void* async) { uv_async_send(static_cast<uv_async_t*>(async)); }, &async_) {}

bool EngineThread::Open() {
  if (self_) return true;
  uv_loop_t* loop = nullptr;
  int error =
      napi_get_uv_event_loop(env_, &loop) == napi_ok ? uv_async_init(loop, &async_, OnNews) : UV_EINVAL;
  if (error != 0) {
    ThrowErrno(env_, -error, "wait for", device_);
    return false;
  }
  async_.data = this;
  self_ = shared_from_this();
  uv_unref(reinterpret_cast<uv_handle_t*>(&async_));
  context_.emplace(env_, "vsnd.Engine");
  // The loop of an environment that ends is closed only after this handle is.
  napi_add_async_cleanup_hook(env_, OnEnvironmentEnd, this, &hook_);
  return true;
}

void EngineThread::Start(Napi::Function on_readable) {
  if (is_closed_) return ThrowErrno(env_, EBADF, "wait for", device_);
  if (!Open()) return;
  on_readable_ = Napi::Persistent(on_readable);
  int error = loop_.Start();
  if (error != 0) ThrowErrno(env_, error, "start the thread of", device_);
}

void EngineThread::Close() {
  if (is_closed_) return;
  is_closed_ = true;
  loop_.Stop();
  loop_.Close();
  if (!self_) return;
  on_readable_.Reset();
  context_.reset();
  uv_close(reinterpret_cast<uv_handle_t*>(&async_), OnClosed);
}

void EngineThread::Remove(Woken* woken) {
  woken_.erase(std::remove(woken_.begin(), woken_.end(), woken), woken_.end());
}

/** What is called may remove any of those that are still to be called, and close this. */
void EngineThread::OnNews(uv_async_t* handle) {
  std::shared_ptr<EngineThread> thread = static_cast<EngineThread*>(handle->data)->self_;
  if (thread->is_closed_) return;
  if (thread->loop_.HasPorts()) CallBack(thread->env_, *thread->context_, thread->on_readable_);
  std::vector<Woken*> woken = thread->woken_;
  for (Woken* one : woken) {
    if (thread->is_closed_) return;
    const auto& there = thread->woken_;
    if (std::find(there.begin(), there.end(), one) != there.end()) one->HandleWake(*thread->context_);
  }
}

void EngineThread::OnEnvironmentEnd(napi_async_cleanup_hook_handle, void* thread) {
  static_cast<EngineThread*>(thread)->Close();
}

void EngineThread::OnClosed(uv_handle_t* handle) {
  auto* thread = static_cast<EngineThread*>(handle->data);
  std::shared_ptr<EngineThread> last = std::move(thread->self_);
  napi_remove_async_cleanup_hook(thread->hook_);
}

}  // namespace vsnd
