#pragma once

#include <napi.h>

namespace vsnd {

/**
 * Calls a function of JavaScript's from the event loop. By hand: in a worker that is being terminated the
 * wrapper would end the whole process.
 */
inline void CallBack(Napi::Env env, napi_async_context context, const Napi::FunctionReference& function) {
  if (function.IsEmpty()) return;
  Napi::HandleScope scope(env);
  napi_value receiver = nullptr;
  if (napi_get_global(env, &receiver) != napi_ok) return;
  napi_status status = napi_make_callback(env, context, receiver, function.Value(), 0, nullptr, nullptr);
  napi_value exception = nullptr;
  if (status == napi_pending_exception && napi_get_and_clear_last_exception(env, &exception) == napi_ok) {
    napi_fatal_exception(env, exception);
  }
}

}  // namespace vsnd
