#pragma once

#include <napi.h>

#include <memory>

#include "engine_thread.h"
#include "port_methods.h"

namespace vsnd {

/**
 * new EngineDevice(path, now): an open evtchn with a thread of its own. To JavaScript it is an
 * EventChannelDevice, whose ports are those that the thread hands on; and it carries streams. `now`:
 * JavaScript's clock, ns.
 */
class EngineDevice : public Napi::ObjectWrap<EngineDevice> {
 public:
  static Napi::Function Define(Napi::Env env);
  explicit EngineDevice(const Napi::CallbackInfo& info);
  ~EngineDevice() override { CloseThread(); }

 private:
  void Start(const Napi::CallbackInfo& info);
  /** read(into): bytes of ports that the thread has handed on; undefined where there are none. */
  Napi::Value Read(const Napi::CallbackInfo& info);
  void Write(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo&) { CloseThread(); }
  Napi::Value BindUnbound(const Napi::CallbackInfo& info) { return vsnd::BindUnbound(info, ports()); }
  Napi::Value BindInterdomain(const Napi::CallbackInfo& info) { return vsnd::BindInterdomain(info, ports()); }
  void Unbind(const Napi::CallbackInfo& info) { vsnd::Unbind(info, ports()); }
  Napi::Value ForgetIfRestored(const Napi::CallbackInfo& info) {
    return vsnd::ForgetIfRestored(info, ports());
  }
  void Notify(const Napi::CallbackInfo& info) { vsnd::Notify(info, ports()); }
  void Reset(const Napi::CallbackInfo& info);
  /** isRealTime(): whether the thread runs before all that is not. */
  Napi::Value IsRealTime(const Napi::CallbackInfo& info);
  /** playback(shape, stagingBytes, ring, events, buffer, onWake): a PlaybackHandle. */
  Napi::Value Playback(const Napi::CallbackInfo& info);
  /** capture(shape, stagingBytes, ring, events, buffer, onWake): a CaptureHandle. */
  Napi::Value Capture(const Napi::CallbackInfo& info);

  EventPorts& ports() { return thread_->loop().ports(); }
  void CloseThread() {
    if (thread_) thread_->Close();
  }

  std::shared_ptr<EngineThread> thread_;
};

}  // namespace vsnd
