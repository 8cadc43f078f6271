// A connection to PipeWire, whose main loop the event loop of JavaScript runs: everything but process() is in
// that thread.
#pragma once

#include <pipewire/pipewire.h>

#include <string>
#include <vector>

#include "library.h"

namespace vsnd {

/** Something that ends before its session does. */
class SessionUser {
 public:
  virtual ~SessionUser() = default;
  /** Idempotent. */
  virtual void Close() = 0;
};

class Session {
 public:
  /** Where it is not made afterwards, errno says why. */
  explicit Session(const Library& library);
  ~Session() { Close(); }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  const Library& library() const { return library_; }
  bool is_made() const { return context_ != nullptr; }
  /** Readable whenever Iterate() has something to do. */
  int fd() const { return pw_loop_get_fd(loop_); }
  /** Does what there is to do, without waiting. */
  void Iterate();
  /** Makes fd() readable, from any thread. */
  void Wake() { pw_loop_signal_event(loop_, wake_); }

  /** Connects to the daemon that the environment names: 0 or an errno. Once. */
  int Connect();
  /** Closes all that uses it, disconnects, and ends the data thread. Nothing is asked of it any more.
   * Idempotent. */
  void Close();
  void Add(SessionUser* user) { users_.push_back(user); }
  void Remove(SessionUser* user);
  /** All that the daemon had when we connected is known. */
  bool is_ready() const { return is_ready_; }
  /** Why the connection has ended; empty while it stands. */
  const std::string& failure() const { return failure_; }
  /** The daemon's version, and who runs it. */
  const std::string& server_version() const { return server_version_; }

  /** A node of that name: the pid of its program, 0 where that is not known; -1 where there is no such node.
   */
  int FindNode(const std::string& name) const;
  /** How many ports a node has: a session manager gives it some as soon as it knows it. */
  int CountPorts(uint32_t node) const;

  pw_core* core() const { return core_; }
  pw_loop* data_loop() const { return data_loop_; }
  /** Of libpipewire's data thread, where it waits for that to be done. */
  template <typename Work>
  void InDataLoop(Work work) {
    auto call = [](spa_loop*, bool, uint32_t, const void*, size_t, void* context) {
      (*static_cast<Work*>(context))();
      return 0;
    };
    pw_loop_invoke(data_loop_, call, 0, nullptr, 0, true, &work);
  }

 private:
  struct Object {
    uint32_t id;
    bool is_port;
    /** Of a port. */
    uint32_t node;
    /** Of a node. */
    std::string name;
    int pid;
  };

  static void OnInfo(void* session, const pw_core_info* info);
  static void OnDone(void* session, uint32_t id, int seq);
  static void OnError(void* session, uint32_t id, int seq, int result, const char* message);
  static void OnGlobal(void* session, uint32_t id, uint32_t permissions, const char* type, uint32_t version,
                       const spa_dict* properties);
  static void OnGlobalRemove(void* session, uint32_t id);

  const Library& library_;
  pw_loop* loop_ = nullptr;
  spa_source* wake_ = nullptr;
  pw_context* context_ = nullptr;
  pw_loop* data_loop_ = nullptr;
  pw_core* core_ = nullptr;
  pw_registry* registry_ = nullptr;
  pw_core_events core_events_ = {};
  pw_registry_events registry_events_ = {};
  spa_hook core_listener_ = {};
  spa_hook registry_listener_ = {};
  int sync_ = 0;
  bool is_ready_ = false;
  std::string failure_;
  std::string server_version_;
  std::vector<Object> objects_;
  std::vector<SessionUser*> users_;
};

}  // namespace vsnd
