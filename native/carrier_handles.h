// The streams that an engine carries, for JavaScript.
#pragma once

#include <napi.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "arguments.h"
#include "engine/capture.h"
#include "engine/carrier_port.h"
#include "engine/playback.h"
#include "engine_thread.h"
#include "mapping.h"

namespace vsnd {

/**
 * What both directions have in common: carry(standing, origin), takeBack(standing), wakeAtReports(isWoken),
 * attend(duration), close(), and `gauge`, an ArrayBuffer: native/engine/gauge.h; `port`:
 * native/engine/port.h. `standing` is a Float64Array, laid out as src/xen/linux/engine.ts has it.
 */
template <typename T, typename C>
class CarrierHandle : public Napi::ObjectWrap<T>, public Woken {
 public:
  using Self = CarrierHandle<T, C>;

  /** One of a device's: throws a TypeError for what is not as it should be. */
  static Napi::Value Create(const Napi::CallbackInfo& info, const Napi::FunctionReference& constructor,
                            std::shared_ptr<EngineThread> thread);

  /** One that carries nothing: JavaScript can make no other. */
  explicit CarrierHandle(const Napi::CallbackInfo& info) : Napi::ObjectWrap<T>(info) {}
  ~CarrierHandle() override { End(); }

  void HandleWake(napi_async_context context) override;

 protected:
  static Napi::Function DefineHandle(Napi::Env env, const char* name,
                                     std::vector<Napi::ClassPropertyDescriptor<T>> methods);

  /** carry(standing, origin): whether it is still carried when all has been done that had come meanwhile. */
  Napi::Value Carry(const Napi::CallbackInfo& info);
  /** takeBack(standing): fills in where the stream stands, and says why it was parked: a number of Parked. */
  Napi::Value TakeBack(const Napi::CallbackInfo& info);
  /** wakeAtReports(isWoken) */
  void WakeAtReports(const Napi::CallbackInfo& info);
  /** attend(duration): what has come is looked at, now and for so many ns. */
  void Attend(const Napi::CallbackInfo& info);
  /** closePort(): from now on it takes and gives nothing. Idempotent. */
  void ClosePort(const Napi::CallbackInfo&) { EndPort(); }
  /** close(): takes the stream back for good. Idempotent. */
  void Close(const Napi::CallbackInfo&) { End(); }
  /** take(into): copies out what is staged, as much as fits; says how much. */
  Napi::Value Take(const Napi::CallbackInfo& info);

  /** Throws where it is closed. */
  bool IsOpen(Napi::Env env) const;
  void EndPort();
  void End();
  Loop& loop() { return thread_->loop(); }

  std::shared_ptr<EngineThread> thread_;
  std::array<std::shared_ptr<SharedPages>, 3> pages_;
  Napi::Reference<Napi::ArrayBuffer> gauge_;
  Napi::FunctionReference on_wake_;
  std::optional<C> carrier_;
  CarrierPort* port_ = nullptr;
};

/** Adds write(source, start), wakeAtRoom(), tellMoved(bytes), end(). */
class PlaybackHandle : public CarrierHandle<PlaybackHandle, PlaybackCarrier> {
 public:
  static Napi::Function Define(Napi::Env env);
  using CarrierHandle::CarrierHandle;

 private:
  /** write(source, start): copies the bytes from `start` on, as many as have room; says how many. */
  Napi::Value Write(const Napi::CallbackInfo& info);
  /** wakeAtRoom(): wakes JavaScript once half of the staging ring is free. */
  void WakeAtRoom(const Napi::CallbackInfo& info);
  /** tellMoved(bytes): of a parked stream so much has been played. */
  void TellMoved(const Napi::CallbackInfo& info);
  /** end(): parks the stream when the staging ring is empty. */
  void SetEnd(const Napi::CallbackInfo& info);
};

/** Adds wakeAtFrames(isWaiting), stage(bytes). */
class CaptureHandle : public CarrierHandle<CaptureHandle, CaptureCarrier> {
 public:
  static Napi::Function Define(Napi::Env env);
  using CarrierHandle::CarrierHandle;

 private:
  /** wakeAtFrames(isWaiting): wakes JavaScript once there is something to take, or not at all. */
  void WakeAtFrames(const Napi::CallbackInfo& info);
  /** stage(bytes): of a parked stream, these have been captured. */
  void Stage(const Napi::CallbackInfo& info);
};

}  // namespace vsnd
