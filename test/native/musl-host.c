// A program on musl that loads the addon, as a Node on musl would, and prints what it exports: musl-host ADDON
// There is no such Node to be had: Node-API is faked as far as loading goes, and what else is called ends the program.
#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

typedef int status; // napi_status; 0 is napi_ok
typedef void *handle;

static char any;

status napi_define_class(handle env, const char *name, size_t length, void *constructor, void *data, size_t count,
                         const void *properties, handle *result) {
  (void)env, (void)name, (void)length, (void)constructor, (void)data, (void)count, (void)properties;
  *result = &any;
  return 0;
}

status napi_create_function(handle env, const char *name, size_t length, void *callback, void *data, handle *result) {
  (void)env, (void)name, (void)length, (void)callback, (void)data;
  *result = &any;
  return 0;
}

status napi_create_double(handle env, double value, handle *result) {
  (void)env, (void)value;
  *result = &any;
  return 0;
}

status napi_create_reference(handle env, handle value, uint32_t count, handle *result) {
  (void)env, (void)value, (void)count;
  *result = &any;
  return 0;
}

status napi_set_instance_data(handle env, void *data, void *finalize, void *hint) {
  (void)env, (void)data, (void)finalize, (void)hint;
  return 0;
}

status napi_add_finalizer(handle env, handle value, void *data, void *finalize, void *hint, handle *result) {
  (void)env, (void)value, (void)data, (void)finalize, (void)hint;
  if (result != NULL) *result = &any;
  return 0;
}

status napi_set_named_property(handle env, handle object, const char *name, handle value) {
  (void)env, (void)object, (void)value;
  puts(name);
  return 0;
}

#define NOT_CALLED(name)                                    \
  void name(void) {                                         \
    fputs(#name " was called, which is not faked\n", stderr); \
    abort();                                                \
  }
#include "not-called.h"

int main(int count, char **arguments) {
  void *addon = count == 2 ? dlopen(arguments[1], RTLD_NOW) : NULL;
  if (addon == NULL) {
    fputs(count == 2 ? dlerror() : "which addon?", stderr);
    return 1;
  }
  handle (*init)(handle, handle) = (handle(*)(handle, handle))dlsym(addon, "napi_register_module_v1");
  return init(&any, &any) == NULL;
}
