// What JavaScript can do with the ports of an evtchn, whoever reads it.
#pragma once

#include <napi.h>

#include "event_ports.h"

namespace vsnd {

/** bindUnbound(remoteDomid): port. IOCTL_EVTCHN_BIND_UNBOUND_PORT. */
Napi::Value BindUnbound(const Napi::CallbackInfo& info, EventPorts& ports);
/** bindInterdomain(remoteDomid, remotePort): port. IOCTL_EVTCHN_BIND_INTERDOMAIN. */
Napi::Value BindInterdomain(const Napi::CallbackInfo& info, EventPorts& ports);
/** unbind(port). IOCTL_EVTCHN_UNBIND. */
void Unbind(const Napi::CallbackInfo& info, EventPorts& ports);
/** forgetIfRestored(): whether the domain has been restored since, and every port here is forgotten. */
Napi::Value ForgetIfRestored(const Napi::CallbackInfo& info, EventPorts& ports);
/** notify(port). IOCTL_EVTCHN_NOTIFY. */
void Notify(const Napi::CallbackInfo& info, EventPorts& ports);
/** write(bytes): all of them in one write(2). */
void WriteAll(const Napi::CallbackInfo& info, int fd, const std::string& device);

}  // namespace vsnd
