#include "session.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace vsnd {

namespace {

uint32_t NumberOf(const spa_dict* properties, const char* key) {
  const char* text = spa_dict_lookup(properties, key);
  return text == nullptr ? 0 : static_cast<uint32_t>(strtoul(text, nullptr, 10));
}

}  // namespace

/** 0.3 asks for a real-time thread in client-rt.conf alone; newer ones say that it is old. One data loop:
 * ours. */
Session::Session(const Library& library) : library_(library) {
  loop_ = library_.pw_loop_new(nullptr);
  if (loop_ == nullptr) return;
  pw_loop_enter(loop_);
  wake_ = pw_loop_add_event(
      loop_, [](void*, uint64_t) {}, nullptr);
  bool is_old = strncmp(library_.pw_get_library_version(), "0.", 2) == 0;
  const char* config = is_old ? "client-rt.conf" : "client.conf";
  pw_properties* properties =
      library_.pw_properties_new("config.name", config, "context.num-data-loops", "1", nullptr);
  context_ = library_.pw_context_new(loop_, properties, 0);
  if (context_ == nullptr) return;
  data_loop_ = library_.pw_data_loop_get_loop(library_.pw_context_get_data_loop(context_));
}

void Session::Close() {
  while (!users_.empty()) users_.back()->Close();
  if (core_ != nullptr) {
    if (registry_ != nullptr) spa_hook_remove(&registry_listener_);
    spa_hook_remove(&core_listener_);
    library_.pw_core_disconnect(core_);
  }
  if (context_ != nullptr) library_.pw_context_destroy(context_);
  if (loop_ != nullptr) {
    pw_loop_destroy_source(loop_, wake_);
    pw_loop_leave(loop_);
    library_.pw_loop_destroy(loop_);
  }
  core_ = nullptr;
  registry_ = nullptr;
  context_ = nullptr;
  data_loop_ = nullptr;
  loop_ = nullptr;
}

void Session::Remove(SessionUser* user) {
  users_.erase(std::remove(users_.begin(), users_.end(), user), users_.end());
}

void Session::Iterate() {
  while (pw_loop_iterate(loop_, 0) > 0) {
  }
}

int Session::Connect() {
  core_ = library_.pw_context_connect(context_, nullptr, 0);
  if (core_ == nullptr) return errno;
  core_events_.version = PW_VERSION_CORE_EVENTS;
  core_events_.info = OnInfo;
  core_events_.done = OnDone;
  core_events_.error = OnError;
  pw_core_add_listener(core_, &core_listener_, &core_events_, this);
  registry_ = pw_core_get_registry(core_, PW_VERSION_REGISTRY, 0);
  if (registry_ == nullptr) return errno;
  registry_events_.version = PW_VERSION_REGISTRY_EVENTS;
  registry_events_.global = OnGlobal;
  registry_events_.global_remove = OnGlobalRemove;
  pw_registry_add_listener(registry_, &registry_listener_, &registry_events_, this);
  sync_ = pw_core_sync(core_, PW_ID_CORE, 0);
  return 0;
}

void Session::OnInfo(void* session, const pw_core_info* info) {
  static_cast<Session*>(session)->server_version_ = info->version;
}

void Session::OnDone(void* session, uint32_t id, int seq) {
  auto* self = static_cast<Session*>(session);
  if (id == PW_ID_CORE && seq == self->sync_) self->is_ready_ = true;
}

void Session::OnError(void* session, uint32_t id, int, int, const char* message) {
  auto* self = static_cast<Session*>(session);
  if (id == PW_ID_CORE && self->failure_.empty()) self->failure_ = message;
}

void Session::OnGlobal(void* session, uint32_t id, uint32_t, const char* type, uint32_t,
                       const spa_dict* properties) {
  if (properties == nullptr) return;
  bool is_port = strcmp(type, PW_TYPE_INTERFACE_Port) == 0;
  bool is_client = strcmp(type, PW_TYPE_INTERFACE_Client) == 0;
  if (!is_port && !is_client && strcmp(type, PW_TYPE_INTERFACE_Node) != 0) return;
  const char* name = is_port ? nullptr : spa_dict_lookup(properties, PW_KEY_NODE_NAME);
  uint32_t parent = NumberOf(properties, is_port ? PW_KEY_NODE_ID : PW_KEY_CLIENT_ID);
  int pid = static_cast<int>(NumberOf(properties, PW_KEY_SEC_PID));
  auto& objects = static_cast<Session*>(session)->objects_;
  objects.push_back({id, is_port, parent, name == nullptr ? "" : name, pid});
}

void Session::OnGlobalRemove(void* session, uint32_t id) {
  auto& objects = static_cast<Session*>(session)->objects_;
  auto is_it = [id](const Object& object) { return object.id == id; };
  objects.erase(std::remove_if(objects.begin(), objects.end(), is_it), objects.end());
}

int Session::FindNode(const std::string& name) const {
  for (const Object& node : objects_) {
    if (node.is_port || node.name != name) continue;
    for (const Object& client : objects_) {
      if (client.id == node.node) return client.pid;
    }
    return 0;
  }
  return -1;
}

int Session::CountPorts(uint32_t node) const {
  auto is_one = [node](const Object& object) { return object.is_port && object.node == node; };
  return static_cast<int>(std::count_if(objects_.begin(), objects_.end(), is_one));
}

}  // namespace vsnd
