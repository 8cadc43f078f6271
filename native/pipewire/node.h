// A sink or a source in PipeWire's graph, as it is seen from JavaScript's thread.
#pragma once

#include <pipewire/pipewire.h>

#include <memory>
#include <string>
#include <vector>

#include "driver.h"
#include "session.h"

namespace vsnd {

/** What a node is made from. */
struct NodeOptions {
  NodeShape shape;
  std::string name;
  std::string description;
  /** An enum spa_audio_format, and of each channel an enum spa_audio_channel. */
  uint32_t format;
  std::vector<uint32_t> positions;
  /** Frames of a cycle to ask the graph for; programs may ask for fewer. */
  uint32_t wished_quantum;
  int priority;
};

/** What people hear of it: linear, one a channel. */
struct NodeVolume {
  std::vector<float> channels;
  bool is_muted = false;
};

class Node final : public SessionUser {
 public:
  Node(Session& session, NodeOptions options);
  ~Node() override { Close(); }
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  /** 0 or an errno. Once. */
  int Connect();
  /** Takes it out of the graph. */
  void Close() override;

  Driver& driver() { return *driver_; }
  /** Whether programs use it. */
  bool is_streaming() const { return state_ == PW_STREAM_STATE_STREAMING; }
  /** Whether the session manager knows it: programs can use it. */
  bool is_known() const;
  /** Why it has gone; empty where it has not. */
  const std::string& failure() const { return failure_; }

  /** Who has not been told of the newest volume is told by this, once. */
  bool TakeVolume(NodeVolume* volume);
  /** Whether the card does the volume, and PipeWire leaves samples as they are. */
  void LeaveVolumeToCard(bool is_left);
  /** The card's volume has changed by itself: users are to see it. */
  void ShowVolume(const NodeVolume& volume);
  /** Says the latency anew, where the cycle has another length. */
  void LookAtLatency();

 private:
  static void OnStateChanged(void* node, pw_stream_state before, pw_stream_state state, const char* error);
  static void OnControlInfo(void* node, uint32_t id, const pw_stream_control* control);
  static void OnIoChanged(void* node, uint32_t id, void* area, uint32_t size);
  static void OnProcess(void* node);

  void TellLatency();
  void KeepSamples();

  Session& session_;
  const NodeOptions options_;
  std::unique_ptr<Driver> driver_;
  pw_stream* stream_ = nullptr;
  pw_stream_events events_ = {};
  spa_hook listener_ = {};
  pw_stream_state state_ = PW_STREAM_STATE_UNCONNECTED;
  std::string failure_;
  NodeVolume volume_;
  bool is_volume_new_ = false;
  bool is_volume_left_ = false;
  uint32_t told_latency_ = 0;
};

}  // namespace vsnd
