#include "node.h"

#include <spa/param/audio/format-utils.h>
#include <spa/param/latency-utils.h>
#include <spa/param/props.h>

#include <algorithm>
#include <cerrno>

namespace vsnd {

namespace {

/** PW_STREAM_FLAG_RT_TRIGGER_DONE, from 1.2 on: the end of a cycle, of which nobody wants to hear, wakes no
 * main loop. */
constexpr uint32_t kRtTriggerDone = 1 << 12;

std::unique_ptr<Driver> MakeDriver(Session& session, const NodeShape& shape) {
  if (shape.is_sink) return std::unique_ptr<Driver>(new SinkDriver(session, shape));
  return std::unique_ptr<Driver>(new SourceDriver(session, shape));
}

std::string Fraction(uint32_t frames, uint32_t rate) {
  return std::to_string(frames) + "/" + std::to_string(rate);
}

}  // namespace

Node::Node(Session& session, NodeOptions options)
    : session_(session), options_(std::move(options)), driver_(MakeDriver(session, options_.shape)) {
  session_.Add(this);
}

void Node::Close() {
  session_.Remove(this);
  driver_->Stop();
  if (stream_ == nullptr) return;
  session_.library().pw_stream_destroy(stream_);
  stream_ = nullptr;
}

int Node::Connect() {
  const Library& library = session_.library();
  const NodeShape& shape = options_.shape;
  pw_properties* properties = library.pw_properties_new(nullptr, nullptr);
  auto set = [&](const char* key, const std::string& value) {
    library.pw_properties_set(properties, key, value.c_str());
  };
  set(PW_KEY_NODE_NAME, options_.name);
  set(PW_KEY_NODE_DESCRIPTION, options_.description);
  set(PW_KEY_MEDIA_CLASS, shape.is_sink ? "Audio/Sink" : "Audio/Source");
  set(PW_KEY_NODE_RATE, Fraction(1, shape.rate));
  set("node.force-rate", std::to_string(shape.rate));
  set(PW_KEY_NODE_LATENCY, Fraction(options_.wished_quantum, shape.rate));
  set(PW_KEY_PRIORITY_DRIVER, std::to_string(options_.priority));
  set(PW_KEY_PRIORITY_SESSION, std::to_string(options_.priority));
  set("resample.quality", "10");
  stream_ = library.pw_stream_new(session_.core(), options_.name.c_str(), properties);
  if (stream_ == nullptr) return errno;
  events_.version = PW_VERSION_STREAM_EVENTS;
  events_.state_changed = OnStateChanged;
  events_.control_info = OnControlInfo;
  events_.io_changed = OnIoChanged;
  events_.process = OnProcess;
  library.pw_stream_add_listener(stream_, &listener_, &events_, this);
  driver_->Start(stream_);
  spa_audio_info_raw info = {};
  info.format = static_cast<spa_audio_format>(options_.format);
  info.rate = shape.rate;
  info.channels = static_cast<uint32_t>(options_.positions.size());
  std::copy(options_.positions.begin(), options_.positions.end(), info.position);
  uint8_t memory[1024];
  spa_pod_builder builder = SPA_POD_BUILDER_INIT(memory, sizeof memory);
  const spa_pod* params[] = {spa_format_audio_raw_build(&builder, SPA_PARAM_EnumFormat, &info)};
  auto flags = static_cast<pw_stream_flags>(PW_STREAM_FLAG_DRIVER | PW_STREAM_FLAG_MAP_BUFFERS |
                                            PW_STREAM_FLAG_RT_PROCESS | kRtTriggerDone);
  pw_direction direction = shape.is_sink ? PW_DIRECTION_INPUT : PW_DIRECTION_OUTPUT;
  return -library.pw_stream_connect(stream_, direction, PW_ID_ANY, flags, params, 1);
}

bool Node::is_known() const {
  uint32_t id = stream_ == nullptr ? PW_ID_ANY : session_.library().pw_stream_get_node_id(stream_);
  return id != PW_ID_ANY && session_.CountPorts(id) > 0;
}

void Node::OnStateChanged(void* node, pw_stream_state, pw_stream_state state, const char* error) {
  auto* self = static_cast<Node*>(node);
  bool has_begun = state == PW_STREAM_STATE_STREAMING;
  self->state_ = state;
  bool is_gone = state == PW_STREAM_STATE_ERROR || state == PW_STREAM_STATE_UNCONNECTED;
  if (is_gone && self->failure_.empty()) {
    self->failure_ = error == nullptr ? "the node has been removed from PipeWire" : error;
  }
  if (has_begun) self->TellLatency();  // newer ones forget what was said before
}

void Node::OnIoChanged(void* node, uint32_t id, void* area, uint32_t) {
  static_cast<Node*>(node)->driver_->HandleIo(id, area);
}

void Node::OnProcess(void* node) {
  static_cast<Node*>(node)->driver_->HandleProcess();
}

void Node::LookAtLatency() {
  if (stream_ != nullptr && is_streaming() && driver_->latency() != told_latency_) TellLatency();
}

/** With the cycle's own length: programs play their frames so much later, too. */
void Node::TellLatency() {
  const NodeShape& shape = options_.shape;
  told_latency_ = driver_->latency();
  auto ns = static_cast<int64_t>(told_latency_ * 1'000'000'000.0 / shape.rate);
  spa_latency_info info = {};
  info.direction = shape.is_sink ? SPA_DIRECTION_INPUT : SPA_DIRECTION_OUTPUT;
  info.min_quantum = info.max_quantum = 1;
  info.min_ns = info.max_ns = static_cast<uint64_t>(ns);
  uint8_t memory[512];
  spa_pod_builder builder = SPA_POD_BUILDER_INIT(memory, sizeof memory);
  const spa_pod* params[] = {spa_latency_build(&builder, SPA_PARAM_Latency, &info)};
  session_.library().pw_stream_update_params(stream_, params, 1);
}

/** Before there is a format, there are no channels. */
void Node::OnControlInfo(void* node, uint32_t id, const pw_stream_control* control) {
  auto* self = static_cast<Node*>(node);
  if (control->n_values == 0) return;
  if (id == SPA_PROP_channelVolumes) {
    std::vector<float> channels(control->values, control->values + control->n_values);
    if (channels == self->volume_.channels) return;
    self->volume_.channels = std::move(channels);
  } else if (id == SPA_PROP_mute) {
    bool is_muted = control->values[0] > 0.5f;
    if (is_muted == self->volume_.is_muted) return;
    self->volume_.is_muted = is_muted;
  } else {
    return;
  }
  self->is_volume_new_ = true;
  if (self->is_volume_left_) self->KeepSamples();
}

bool Node::TakeVolume(NodeVolume* volume) {
  if (!is_volume_new_) return false;
  is_volume_new_ = false;
  *volume = volume_;
  return true;
}

void Node::LeaveVolumeToCard(bool is_left) {
  if (is_volume_left_ == is_left) return;
  is_volume_left_ = is_left;
  if (stream_ == nullptr || volume_.channels.empty()) return;
  if (is_left) return KeepSamples();
  float muted = volume_.is_muted ? 1.0f : 0.0f;
  session_.library().pw_stream_set_control(stream_, SPA_PROP_softMute, 1, &muted, SPA_PROP_softVolumes,
                                           static_cast<uint32_t>(volume_.channels.size()),
                                           volume_.channels.data(), 0u);
}

/** PipeWire does what the soft volume says, and shows the other. */
void Node::KeepSamples() {
  std::vector<float> full(volume_.channels.size(), 1.0f);
  float muted = 0;
  session_.library().pw_stream_set_control(stream_, SPA_PROP_softMute, 1, &muted, SPA_PROP_softVolumes,
                                           static_cast<uint32_t>(full.size()), full.data(), 0u);
}

void Node::ShowVolume(const NodeVolume& volume) {
  if (stream_ == nullptr || volume.channels.size() != volume_.channels.size()) return;
  volume_ = volume;
  float muted = volume.is_muted ? 1.0f : 0.0f;
  session_.library().pw_stream_set_control(stream_, SPA_PROP_mute, 1, &muted, SPA_PROP_channelVolumes,
                                           static_cast<uint32_t>(volume_.channels.size()),
                                           volume_.channels.data(), 0u);
  if (is_volume_left_) KeepSamples();
}

}  // namespace vsnd
