/**
 * The errno values of xen/errno.h by name, those that the header keeps to the hypervisor included, and EPIPE,
 * EBADFD and ESTRPIPE, which it lacks: a Linux backend passes on what its sound library returns.
 */
export const XenErrno = {
  EPERM: 1,
  ENOENT: 2,
  ESRCH: 3,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  E2BIG: 7,
  ENOEXEC: 8,
  EBADF: 9,
  ECHILD: 10,
  EAGAIN: 11,
  EWOULDBLOCK: 11, // after EAGAIN, which is the name that people read
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  EXDEV: 18,
  ENODEV: 19,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  ENFILE: 23,
  EMFILE: 24,
  ENOSPC: 28,
  EROFS: 30,
  EMLINK: 31,
  EPIPE: 32,
  EDOM: 33,
  ERANGE: 34,
  EDEADLK: 35,
  EDEADLOCK: 35,
  ENAMETOOLONG: 36,
  ENOLCK: 37,
  ENOSYS: 38,
  ENOTEMPTY: 39,
  ENODATA: 61,
  ETIME: 62,
  EBADMSG: 74,
  EOVERFLOW: 75,
  EBADFD: 77,
  EILSEQ: 84,
  ERESTART: 85,
  ESTRPIPE: 86,
  ENOTSOCK: 88,
  EMSGSIZE: 90,
  EOPNOTSUPP: 95,
  EADDRINUSE: 98,
  EADDRNOTAVAIL: 99,
  ENOBUFS: 105,
  EISCONN: 106,
  ENOTCONN: 107,
  ETIMEDOUT: 110,
  ECONNREFUSED: 111,
} as const;

export type XenErrnoName = keyof typeof XenErrno;

/** A response status as people read it: '-22 (EINVAL)', or the bare number where it has no name. */
export function describeStatus(status: number): string {
  const name = xenErrnoName(-status);
  return name === undefined ? `${status}` : `${status} (${name})`;
}

/** The name of a positive errno value, the first where it has two; undefined where it has none. */
export function xenErrnoName(value: number): XenErrnoName | undefined {
  return (Object.keys(XenErrno) as XenErrnoName[]).find((name) => XenErrno[name] === value);
}
