// The device interfaces of linux-libc-dev.
#pragma once

#include <cstdint>

// gntdev.h names these and declares them nowhere.
typedef uint16_t domid_t;
typedef uint32_t grant_ref_t;

#include <xen/evtchn.h>
#include <xen/gntalloc.h>
#include <xen/gntdev.h>
