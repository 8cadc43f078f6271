// PipeWire's side of a card: a sink and a source that drive the graph. src/bridge says what they are for.
#include <napi.h>
#include <spa/param/audio/type-info.h>

#include <cstring>
#include <memory>
#include <optional>

#include "../arguments.h"
#include "../poller.h"
#include "node.h"
#include "session.h"
#include "staging_port.h"

namespace vsnd {

namespace {

/** Bytes: no more can be staged. */
constexpr uint32_t kMostStaged = 1u << 30;

/** SPA_AUDIO_MAX_CHANNELS of the oldest PipeWire. */
constexpr uint32_t kMostChannels = 64;

struct Classes {
  Napi::FunctionReference session;
};

std::string TextOf(const Napi::Object& object, const char* key) {
  return object.Get(key).ToString().Utf8Value();
}

uint32_t NumberOf(const Napi::Object& object, const char* key) {
  return object.Get(key).ToNumber().Uint32Value();
}

/** Of PipeWire's own tables: its short name 'S16LE', or what is unknown where it has none of that name. */
uint32_t Named(const spa_type_info* table, const std::string& name) {
  for (const spa_type_info* info = table; info->name != nullptr; info++) {
    const char* last = strrchr(info->name, ':');
    if (last != nullptr && name == last + 1) return info->type;
  }
  return 0;
}

}  // namespace

/** new PipeWireSession(): throws an Error, with `code` ERR_DLOPEN_FAILED where there is no libpipewire. */
class SessionHandle : public Napi::ObjectWrap<SessionHandle> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "PipeWireSession",
                       {
                           InstanceMethod<&SessionHandle::Start>("start"),
                           InstanceMethod<&SessionHandle::Iterate>("iterate"),
                           InstanceMethod<&SessionHandle::Connect>("connect"),
                           InstanceMethod<&SessionHandle::FindNode>("findNode"),
                           InstanceMethod<&SessionHandle::CloseSession>("close"),
                           InstanceAccessor<&SessionHandle::IsReady>("isReady"),
                           InstanceAccessor<&SessionHandle::Failure>("failure"),
                           InstanceAccessor<&SessionHandle::ServerVersion>("serverVersion"),
                       });
  }

  explicit SessionHandle(const Napi::CallbackInfo& info) : Napi::ObjectWrap<SessionHandle>(info) {
    Napi::Env env = info.Env();
    std::string error;
    const Library* library = LoadLibrary(&error);
    if (library == nullptr) {
      Napi::Error thrown = Napi::Error::New(env, error);
      thrown.Set("code", Napi::String::New(env, "ERR_DLOPEN_FAILED"));
      thrown.ThrowAsJavaScriptException();
      return;
    }
    session_.reset(new Session(*library));
    if (!session_->is_made()) {
      ThrowErrno(env, errno, "start", "libpipewire");
      return;
    }
    // Another descriptor of the same: the event loop's ends before PipeWire's.
    poller_.reset(new Poller(env, Fd(fcntl(session_->fd(), F_DUPFD_CLOEXEC, 0)), "PipeWire"));
  }
  ~SessionHandle() override { End(); }

  /** The session; null, and an Error thrown, where it is closed. */
  std::shared_ptr<Session> session(Napi::Env env) {
    if (!session_) ThrowErrno(env, EBADF, "use", "PipeWire");
    return session_;
  }

 private:
  /** start(onReady): calls it whenever iterate() would do something. Holds the process. */
  void Start(const Napi::CallbackInfo& info) {
    Arguments arguments(info);
    Napi::Function on_ready = arguments.Function(0);
    if (!arguments.ok() || !session(info.Env())) return;
    poller_->Start(on_ready);
    poller_->HoldProcess();
  }
  /** iterate(): what there is to do, without waiting. It calls nothing of JavaScript's: what has come of it
   * is to be looked at. */
  void Iterate(const Napi::CallbackInfo&) {
    if (session_) session_->Iterate();
  }
  /** connect(): to the daemon that the environment names. Throws an errno. */
  void Connect(const Napi::CallbackInfo& info) {
    if (!session(info.Env())) return;
    int error = session_->Connect();
    if (error != 0) ThrowErrno(info.Env(), error, "connect to", "PipeWire");
  }
  /** findNode(name): the pid of its program, 0 where that is not known; undefined where there is none. */
  Napi::Value FindNode(const Napi::CallbackInfo& info) {
    Arguments arguments(info);
    std::string name = arguments.String(0);
    if (!arguments.ok() || !session(info.Env())) return Napi::Value();
    int pid = session_->FindNode(name);
    return pid < 0 ? info.Env().Undefined() : Napi::Number::New(info.Env(), pid);
  }
  Napi::Value IsReady(const Napi::CallbackInfo& info) {
    return Napi::Boolean::New(info.Env(), session_ && session_->is_ready());
  }
  /** Why the connection has ended; empty while it stands. */
  Napi::Value Failure(const Napi::CallbackInfo& info) {
    return Napi::String::New(info.Env(), session_ ? session_->failure() : "closed");
  }
  Napi::Value ServerVersion(const Napi::CallbackInfo& info) {
    return Napi::String::New(info.Env(), session_ ? session_->server_version() : "");
  }
  void CloseSession(const Napi::CallbackInfo&) { End(); }
  void End() {
    if (poller_) poller_->Close();
    if (session_) session_->Close();
    session_.reset();
  }

  std::shared_ptr<Session> session_;
  std::shared_ptr<Poller> poller_;
};

/** new StagingPort(session, capacity): a port whose other end is JavaScript. Bytes are of whole frames. */
class StagingPortHandle : public Napi::ObjectWrap<StagingPortHandle> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "StagingPort",
                       {
                           InstanceMethod<&StagingPortHandle::Take>("take"),
                           InstanceMethod<&StagingPortHandle::Stage>("stage"),
                           InstanceMethod<&StagingPortHandle::Move>("move"),
                           InstanceAccessor<&StagingPortHandle::Staged>("staged"),
                       });
  }

  explicit StagingPortHandle(const Napi::CallbackInfo& info) : Napi::ObjectWrap<StagingPortHandle>(info) {
    Arguments arguments(info);
    auto* classes = info.Env().GetInstanceData<Classes>();
    auto* handle = arguments.Instance<SessionHandle>(0, classes->session.Value());
    uint32_t capacity = arguments.U32(1);
    if (!arguments.ok()) return;
    if (capacity == 0 || capacity > kMostStaged) {
      Napi::RangeError::New(info.Env(), "no capacity of a port").ThrowAsJavaScriptException();
      return;
    }
    session_ = handle->session(info.Env());
    if (!session_) return;
    port_ = new StagingPort(*session_, capacity);
    Value().Set("port", WrapPort(info.Env(), port_));
  }
  ~StagingPortHandle() override {
    if (port_ != nullptr) port_->Release();
  }

 private:
  /** take(into): copies out the oldest bytes, as many as fit; says how many. */
  Napi::Value Take(const Napi::CallbackInfo& info) {
    Arguments arguments(info);
    Arguments::Bytes into = arguments.Uint8Array(0);
    if (!arguments.ok()) return Napi::Value();
    return Napi::Number::New(info.Env(), static_cast<double>(port_->ring().Read(into.data, into.length)));
  }
  /** stage(bytes): copies in as many as have room; says how many. */
  Napi::Value Stage(const Napi::CallbackInfo& info) {
    Arguments arguments(info);
    Arguments::Bytes bytes = arguments.Uint8Array(0);
    if (!arguments.ok()) return Napi::Value();
    return Napi::Number::New(info.Env(), static_cast<double>(port_->ring().Write(bytes.data, bytes.length)));
  }
  /** move(bytes): the position, since the stream was opened. */
  void Move(const Napi::CallbackInfo& info) {
    Arguments arguments(info);
    double bytes = arguments.Number(0);
    if (arguments.ok()) port_->Move(static_cast<uint64_t>(bytes));
  }
  Napi::Value Staged(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), static_cast<double>(port_->ring().filled()));
  }

  /** A node that is attached to the port is one of its. */
  std::shared_ptr<Session> session_;
  StagingPort* port_ = nullptr;
};

/** new PipeWireNode(session, options): a sink or a source. Throws an errno. */
class NodeHandle : public Napi::ObjectWrap<NodeHandle> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "PipeWireNode",
                       {
                           InstanceMethod<&NodeHandle::Attach>("attach"),
                           InstanceMethod<&NodeHandle::Detach>("detach"),
                           InstanceMethod<&NodeHandle::SetDeviation>("setDeviation"),
                           InstanceMethod<&NodeHandle::TakeVolume>("takeVolume"),
                           InstanceMethod<&NodeHandle::LeaveVolumeToCard>("leaveVolumeToCard"),
                           InstanceMethod<&NodeHandle::ShowVolume>("showVolume"),
                           InstanceMethod<&NodeHandle::LookAtLatency>("lookAtLatency"),
                           InstanceMethod<&NodeHandle::CloseNode>("close"),
                           InstanceAccessor<&NodeHandle::IsStreaming>("isStreaming"),
                           InstanceAccessor<&NodeHandle::IsKnown>("isKnown"),
                           InstanceAccessor<&NodeHandle::Failure>("failure"),
                           InstanceAccessor<&NodeHandle::Quantum>("quantum"),
                           InstanceAccessor<&NodeHandle::Latency>("latency"),
                           InstanceAccessor<&NodeHandle::Frames>("frames"),
                           InstanceAccessor<&NodeHandle::Slips>("slips"),
                           InstanceAccessor<&NodeHandle::IsDriving>("isDriving"),
                       });
  }

  explicit NodeHandle(const Napi::CallbackInfo& info) : Napi::ObjectWrap<NodeHandle>(info) {
    Napi::Env env = info.Env();
    Arguments arguments(info);
    auto* handle = arguments.Instance<SessionHandle>(0, env.GetInstanceData<Classes>()->session.Value());
    if (!arguments.ok()) return;
    session_ = handle->session(env);
    if (!session_) return;
    if (!info[1].IsObject()) {
      Napi::TypeError::New(env, "argument 1: allowed is an object").ThrowAsJavaScriptException();
      return;
    }
    NodeOptions options = OptionsOf(info[1].As<Napi::Object>());
    if (env.IsExceptionPending()) return;
    const NodeShape& shape = options.shape;
    if (options.format == 0 || shape.rate == 0 || shape.frame_bytes == 0 || options.positions.empty() ||
        options.positions.size() > kMostChannels || shape.frame_bytes % options.positions.size() != 0) {
      Napi::RangeError::New(env, "no shape of a node").ThrowAsJavaScriptException();
      return;
    }
    node_.emplace(*session_, std::move(options));
    int error = node_->Connect();
    if (error != 0) ThrowErrno(env, error, "make a node of", "PipeWire");
  }

 private:
  static NodeOptions OptionsOf(const Napi::Object& object) {
    NodeOptions options;
    options.shape.is_sink = object.Get("isSink").ToBoolean();
    options.shape.rate = NumberOf(object, "rate");
    options.shape.frame_bytes = NumberOf(object, "frameBytes");
    options.shape.latency_frames = NumberOf(object, "latencyFrames");
    options.name = TextOf(object, "name");
    options.description = TextOf(object, "description");
    options.shape.is_exact = object.Get("isExact").ToBoolean();
    options.format = Named(spa_type_audio_format, TextOf(object, "format"));
    if (object.Get("positions").IsArray()) {
      auto positions = object.Get("positions").As<Napi::Array>();
      for (uint32_t i = 0; i < positions.Length(); i++) {
        options.positions.push_back(Named(spa_type_audio_channel, positions.Get(i).ToString().Utf8Value()));
      }
    }
    options.wished_quantum = NumberOf(object, "quantum");
    options.priority = static_cast<int>(NumberOf(object, "priority"));
    return options;
  }

  bool IsOpen(Napi::Env env) const {
    if (node_) return true;
    ThrowErrno(env, EBADF, "use a node of", "PipeWire");
    return false;
  }
  /** attach(port, written, period): the card is open. Frames that were put into it before; frames between two
   * positions. */
  void Attach(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    Arguments arguments(info);
    double written = arguments.Number(1);
    uint32_t period = arguments.U32(2);
    if (!arguments.ok() || !IsOpen(env)) return;
    Port* port = UnwrapPort(env, info[0]);
    if (port != nullptr) node_->driver().Attach(port, static_cast<uint64_t>(written), period);
  }
  void Detach(const Napi::CallbackInfo&) {
    if (node_) node_->driver().Detach();
  }
  /** setDeviation(deviation): by how much the card's clock is fast; 1e-6 is a ppm. */
  void SetDeviation(const Napi::CallbackInfo& info) {
    Arguments arguments(info);
    double deviation = arguments.Number(0);
    if (arguments.ok() && IsOpen(info.Env())) node_->driver().SetDeviation(deviation);
  }
  /** takeVolume(): { channels, isMuted } where that has changed since the last call; linear. */
  Napi::Value TakeVolume(const Napi::CallbackInfo& info) {
    NodeVolume volume;
    if (!node_ || !node_->TakeVolume(&volume)) return info.Env().Undefined();
    Napi::Object object = Napi::Object::New(info.Env());
    Napi::Array channels = Napi::Array::New(info.Env(), volume.channels.size());
    for (uint32_t i = 0; i < volume.channels.size(); i++) channels.Set(i, volume.channels[i]);
    object.Set("channels", channels);
    object.Set("isMuted", volume.is_muted);
    return object;
  }
  void LeaveVolumeToCard(const Napi::CallbackInfo& info) {
    Arguments arguments(info);
    bool is_left = arguments.Bool(0);
    if (arguments.ok() && IsOpen(info.Env())) node_->LeaveVolumeToCard(is_left);
  }
  /** showVolume(channels, isMuted): what the card's has become. */
  void ShowVolume(const Napi::CallbackInfo& info) {
    Arguments arguments(info);
    NodeVolume volume;
    if (info[0].IsArray()) {
      auto array = info[0].As<Napi::Array>();
      for (uint32_t i = 0; i < array.Length(); i++)
        volume.channels.push_back(array.Get(i).ToNumber().FloatValue());
    }
    volume.is_muted = arguments.Bool(1);
    if (arguments.ok() && IsOpen(info.Env())) node_->ShowVolume(volume);
  }
  void LookAtLatency(const Napi::CallbackInfo&) {
    if (node_) node_->LookAtLatency();
  }
  Napi::Value IsStreaming(const Napi::CallbackInfo& info) {
    return Napi::Boolean::New(info.Env(), node_ && node_->is_streaming());
  }
  Napi::Value IsKnown(const Napi::CallbackInfo& info) {
    return Napi::Boolean::New(info.Env(), node_ && node_->is_known());
  }
  Napi::Value Failure(const Napi::CallbackInfo& info) {
    return Napi::String::New(info.Env(), node_ ? node_->failure() : "closed");
  }
  Napi::Value Quantum(const Napi::CallbackInfo& info) {
    return Count(info, node_ ? node_->driver().quantum() : 0);
  }
  Napi::Value Latency(const Napi::CallbackInfo& info) {
    return Count(info, node_ ? node_->driver().latency() : 0);
  }
  Napi::Value Frames(const Napi::CallbackInfo& info) {
    return Count(info, node_ ? node_->driver().frames() : 0);
  }
  Napi::Value Slips(const Napi::CallbackInfo& info) {
    return Count(info, node_ ? node_->driver().slips() : 0);
  }
  Napi::Value IsDriving(const Napi::CallbackInfo& info) {
    return Napi::Boolean::New(info.Env(), node_ && node_->driver().is_driving());
  }
  static Napi::Value Count(const Napi::CallbackInfo& info, uint64_t count) {
    return Napi::Number::New(info.Env(), static_cast<double>(count));
  }
  /** close(): takes it out of the graph. Idempotent. */
  void CloseNode(const Napi::CallbackInfo&) { node_.reset(); }

  /** Ends after its nodes. */
  std::shared_ptr<Session> session_;
  std::optional<Node> node_;
};

namespace {

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  auto* classes = new Classes();
  Napi::Function session = SessionHandle::Define(env);
  classes->session = Napi::Persistent(session);
  env.SetInstanceData(classes);
  exports.Set("PipeWireSession", session);
  exports.Set("PipeWireNode", NodeHandle::Define(env));
  exports.Set("StagingPort", StagingPortHandle::Define(env));
  return exports;
}

}  // namespace

}  // namespace vsnd

using vsnd::Init;

NODE_API_MODULE(vsnd_pipewire, Init)
