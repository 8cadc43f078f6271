#include "carrier_handles.h"

#include <sys/mman.h>

#include "callback.h"
#include "environment.h"

namespace vsnd {

namespace {

/** Numbers of a standing: eleven, and three of each post. */
constexpr size_t kStandingNumbers = 11 + 3 * Standing::kMostPosts;

/** Bytes: no more can be staged. */
constexpr uint32_t kMostStaged = 1u << 30;

Standing ReadStanding(const double* numbers, uint64_t origin) {
  Standing standing;
  standing.req_prod = static_cast<uint32_t>(numbers[0]);
  standing.rsp_cons = static_cast<uint32_t>(numbers[1]);
  standing.next_id = static_cast<uint16_t>(numbers[2]);
  standing.in_cons = static_cast<uint32_t>(numbers[3]);
  standing.expected_event_id = static_cast<uint16_t>(numbers[4]);
  standing.queued = static_cast<uint64_t>(numbers[5]);
  standing.applied = static_cast<uint64_t>(numbers[6]);
  standing.position = static_cast<uint64_t>(numbers[7]);
  standing.oldest_since = numbers[8];
  standing.moved_at = numbers[9];
  standing.post_count = std::min(static_cast<size_t>(numbers[10]), Standing::kMostPosts);
  standing.origin = origin;
  for (size_t i = 0; i < standing.post_count; i++) {
    const double* post = numbers + 11 + 3 * i;
    standing.posts[i] = {static_cast<uint16_t>(post[0]), static_cast<uint32_t>(post[1]),
                         static_cast<uint32_t>(post[2])};
  }
  return standing;
}

void WriteStanding(const Standing& standing, double* numbers) {
  numbers[0] = standing.req_prod;
  numbers[1] = standing.rsp_cons;
  numbers[2] = standing.next_id;
  numbers[3] = standing.in_cons;
  numbers[4] = standing.expected_event_id;
  numbers[5] = static_cast<double>(standing.queued);
  numbers[6] = static_cast<double>(standing.applied);
  numbers[7] = static_cast<double>(standing.position);
  numbers[8] = standing.oldest_since;
  numbers[9] = standing.moved_at;
  numbers[10] = static_cast<double>(standing.post_count);
  for (size_t i = 0; i < standing.post_count; i++) {
    double* post = numbers + 11 + 3 * i;
    post[0] = standing.posts[i].id;
    post[1] = standing.posts[i].offset;
    post[2] = standing.posts[i].length;
  }
}

/** Of [bufferBytes, periodBytes, frameBytes, rate, ringPort, eventPort]. */
StreamShape ShapeOf(const std::vector<uint32_t>& numbers) {
  return {numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5]};
}

bool IsSound(const StreamShape& shape, size_t buffer_size) {
  return shape.frame_bytes > 0 && shape.rate > 0 && shape.period_bytes >= shape.frame_bytes &&
         shape.buffer_bytes >= shape.period_bytes && shape.buffer_bytes % shape.frame_bytes == 0 &&
         shape.buffer_bytes <= buffer_size;
}

}  // namespace

template <typename T, typename C>
Napi::Value CarrierHandle<T, C>::Create(const Napi::CallbackInfo& info,
                                        const Napi::FunctionReference& constructor,
                                        std::shared_ptr<EngineThread> thread) {
  Napi::Env env = info.Env();
  Arguments arguments(info);
  std::vector<uint32_t> numbers = arguments.U32Array(0, 6);
  uint32_t staging_bytes = arguments.U32(1);
  const auto& mapping = env.GetInstanceData<Environment>()->mapping;
  std::array<std::shared_ptr<SharedPages>, 3> pages;
  for (size_t i = 0; i < pages.size(); i++) {
    Mapping* found = arguments.Instance<Mapping>(2 + i, mapping.Value());
    if (found != nullptr) pages[i] = found->pages();
  }
  Napi::Function on_wake = arguments.Function(5);
  if (!arguments.ok()) return Napi::Value();
  bool is_mapped = pages[0] && pages[1] && pages[2];
  StreamShape shape = numbers.size() == 6 ? ShapeOf(numbers) : StreamShape();
  if (!is_mapped || !IsSound(shape, pages[2]->memory.size()) || staging_bytes < shape.frame_bytes ||
      staging_bytes > kMostStaged || pages[0]->memory.size() < kPageSize ||
      pages[1]->memory.size() < kPageSize) {
    return Napi::RangeError::New(env, "no shape of a stream").ThrowAsJavaScriptException(), Napi::Value();
  }
  Napi::Object object = constructor.New({});
  if (object.IsEmpty()) return object;
  Self* handle = Napi::ObjectWrap<T>::Unwrap(object);
  Napi::ArrayBuffer gauge = Napi::ArrayBuffer::New(env, Gauge::kBytes);
  if (gauge.IsEmpty()) return Napi::Value();
  handle->thread_ = std::move(thread);
  handle->pages_ = std::move(pages);
  handle->gauge_ = Napi::Persistent(gauge);
  handle->on_wake_ = Napi::Persistent(on_wake);
  handle->carrier_.emplace(handle->pages_[0]->memory.base(), handle->pages_[1]->memory.base(),
                           handle->pages_[2]->memory.base(), Gauge(gauge.Data()), shape, staging_bytes);
  StagingRing& staging = handle->carrier_->staging();
  mlock(staging.data(), staging.capacity());  // where the process may; it plays without, too
  handle->thread_->Add(handle);
  handle->port_ = new CarrierPort(handle->loop(), *handle->carrier_);
  object.Set("gauge", gauge);
  object.Set("port", WrapPort(env, handle->port_));
  return object;
}

template <typename T, typename C>
Napi::Function CarrierHandle<T, C>::DefineHandle(Napi::Env env, const char* name,
                                                 std::vector<Napi::ClassPropertyDescriptor<T>> methods) {
  using Getter = typename T::InstanceMethodCallback;
  using Setter = typename T::InstanceVoidMethodCallback;
  methods.push_back(T::InstanceMethod("carry", static_cast<Getter>(&Self::Carry)));
  methods.push_back(T::InstanceMethod("takeBack", static_cast<Getter>(&Self::TakeBack)));
  methods.push_back(T::InstanceMethod("wakeAtReports", static_cast<Setter>(&Self::WakeAtReports)));
  methods.push_back(T::InstanceMethod("attend", static_cast<Setter>(&Self::Attend)));
  methods.push_back(T::InstanceMethod("take", static_cast<Getter>(&Self::Take)));
  methods.push_back(T::InstanceMethod("closePort", static_cast<Setter>(&Self::ClosePort)));
  methods.push_back(T::InstanceMethod("close", static_cast<Setter>(&Self::Close)));
  return T::DefineClass(env, name, methods);
}

template <typename T, typename C>
void CarrierHandle<T, C>::HandleWake(napi_async_context context) {
  if (carrier_ && loop().TakeWake(*carrier_)) CallBack(this->Env(), context, on_wake_);
}

template <typename T, typename C>
bool CarrierHandle<T, C>::IsOpen(Napi::Env env) const {
  if (carrier_) return true;
  Napi::Error::New(env, "this stream has been closed").ThrowAsJavaScriptException();
  return false;
}

template <typename T, typename C>
Napi::Value CarrierHandle<T, C>::Carry(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const double* numbers = arguments.Float64Array(0, kStandingNumbers);
  uint64_t origin = arguments.U64(1);
  if (!arguments.ok() || !IsOpen(info.Env())) return Napi::Value();
  return Napi::Boolean::New(info.Env(), loop().Carry(*carrier_, ReadStanding(numbers, origin)));
}

template <typename T, typename C>
Napi::Value CarrierHandle<T, C>::TakeBack(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  double* numbers = arguments.Float64Array(0, kStandingNumbers);
  if (!arguments.ok() || !IsOpen(info.Env())) return Napi::Value();
  Parked reason = Parked::kNot;
  WriteStanding(loop().TakeBack(*carrier_, &reason), numbers);
  return Napi::Number::New(info.Env(), static_cast<double>(reason));
}

template <typename T, typename C>
void CarrierHandle<T, C>::WakeAtReports(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  bool is_woken = arguments.Bool(0);
  if (!arguments.ok() || !IsOpen(info.Env())) return;
  loop().With(*carrier_, [&] { carrier_->WakeAtReports(is_woken); });
  loop().EndRest();
}

template <typename T, typename C>
void CarrierHandle<T, C>::Attend(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  double duration = arguments.Number(0);
  if (arguments.ok() && IsOpen(info.Env())) loop().Attend(*carrier_, duration);
}

template <typename T, typename C>
Napi::Value CarrierHandle<T, C>::Take(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  Arguments::Bytes into = arguments.Uint8Array(0);
  if (!arguments.ok() || !IsOpen(info.Env())) return Napi::Value();
  size_t count = carrier_->staging().Read(into.data, into.length);
  loop().With(*carrier_, [this] { carrier_->ShowStaged(); });
  loop().HandleStaged(*carrier_);
  return Napi::Number::New(info.Env(), static_cast<double>(count));
}

template <typename T, typename C>
void CarrierHandle<T, C>::EndPort() {
  if (port_ == nullptr) return;
  port_->Close();
  std::exchange(port_, nullptr)->Release();
}

template <typename T, typename C>
void CarrierHandle<T, C>::End() {
  if (!carrier_) return;
  EndPort();
  Parked ignored;
  loop().TakeBack(*carrier_, &ignored);
  thread_->Remove(this);
  StagingRing& staging = carrier_->staging();
  munlock(staging.data(), staging.capacity());
  carrier_.reset();
  pages_ = {};
  on_wake_.Reset();
  gauge_.Reset();
  thread_.reset();
}

template class CarrierHandle<PlaybackHandle, PlaybackCarrier>;
template class CarrierHandle<CaptureHandle, CaptureCarrier>;

Napi::Function PlaybackHandle::Define(Napi::Env env) {
  return DefineHandle(env, "PlaybackHandle",
                      {
                          InstanceMethod<&PlaybackHandle::Write>("write"),
                          InstanceMethod<&PlaybackHandle::WakeAtRoom>("wakeAtRoom"),
                          InstanceMethod<&PlaybackHandle::TellMoved>("tellMoved"),
                          InstanceMethod<&PlaybackHandle::SetEnd>("end"),
                      });
}

Napi::Value PlaybackHandle::Write(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  Arguments::Bytes source = arguments.Uint8Array(0);
  uint32_t start = arguments.U32(1);
  if (!arguments.ok() || !IsOpen(info.Env())) return Napi::Value();
  size_t length = start < source.length ? source.length - start : 0;
  StagingRing& staging = carrier_->staging();
  size_t room = staging.free();
  length = std::min(length, room - room % carrier_->shape().frame_bytes);
  staging.Write(source.data + start, length);
  FullBarrier();  // orders: our bytes before the look at whether the thread has found none
  if (carrier_->is_hungry()) loop().HandleStaged(*carrier_);
  return Napi::Number::New(info.Env(), static_cast<double>(length));
}

void PlaybackHandle::WakeAtRoom(const Napi::CallbackInfo& info) {
  if (!IsOpen(info.Env())) return;
  loop().With(*carrier_, [this] { carrier_->WakeAtRoom(); });
}

void PlaybackHandle::TellMoved(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  double bytes = arguments.Number(0);
  if (!arguments.ok() || !IsOpen(info.Env())) return;
  loop().With(*carrier_, [&] { carrier_->NoteMoved(static_cast<uint64_t>(bytes)); });
}

void PlaybackHandle::SetEnd(const Napi::CallbackInfo& info) {
  if (!IsOpen(info.Env())) return;
  loop().With(*carrier_, [this] { carrier_->End(); });
  loop().HandleStaged(*carrier_);
}

Napi::Function CaptureHandle::Define(Napi::Env env) {
  return DefineHandle(env, "CaptureHandle",
                      {
                          InstanceMethod<&CaptureHandle::WakeAtFrames>("wakeAtFrames"),
                          InstanceMethod<&CaptureHandle::Stage>("stage"),
                      });
}

void CaptureHandle::WakeAtFrames(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  bool is_awaited = arguments.Bool(0);
  if (!arguments.ok() || !IsOpen(info.Env())) return;
  loop().With(*carrier_, [&] { carrier_->WakeAtFrames(is_awaited); });
}

void CaptureHandle::Stage(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  Arguments::Bytes bytes = arguments.Uint8Array(0);
  if (!arguments.ok() || !IsOpen(info.Env())) return;
  loop().With(*carrier_, [&] { carrier_->Stage(bytes.data, bytes.length); });
}

}  // namespace vsnd
