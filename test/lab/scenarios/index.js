// The scenarios by name, in the order in which they run; `machine` says which boot they need.

/** The boots: one for each. */
export const MACHINES = {
  xen: { arch: 'amd64', xenstore: 'xenstored' },
  oxenstored: { arch: 'amd64', xenstore: 'oxenstored' },
  arm64: { arch: 'arm64', xenstore: 'xenstored' },
};

/**
 * `file`: the module beside this one; `guest`: a kind of its own, as Guest.create takes it; `limitMs`: generous, emulation is
 * slow on a busy machine; `isLong`: runs only where it is named.
 */
export const SCENARIOS = [
  {
    name: 'play',
    file: 'play',
    machine: 'xen',
    what: 'vsnd to vsnd backend, bit-exact; two streams at once',
  },
  {
    name: 'busy',
    file: 'busy',
    machine: 'xen',
    what: 'JavaScript busy for 500 ms, 50 ms of shared buffer, a second written before: no underrun',
  },
  { name: 'errors', file: 'errors', machine: 'xen', what: 'a guest that is not set up is told why' },
  { name: 'backend-killed', file: 'backend-killed', machine: 'xen', what: 'SIGKILL of the backend' },
  {
    name: 'reconnect',
    file: 'reconnect',
    machine: 'xen',
    what: 'SIGKILL of the backend, and the stream plays on',
  },
  {
    name: 'backend-restarts',
    file: 'backend-restarts',
    machine: 'xen',
    what: 'SIGKILL of the backend, 5 times, and the next one starts at once or later',
    limitMs: 600_000,
  },
  {
    name: 'backend-restarts-often',
    file: 'backend-restarts-often',
    machine: 'xen',
    what: 'the same 25 times; only where it is named',
    limitMs: 1_800_000,
    isLong: true,
  },
  {
    name: 'frontend-killed',
    file: 'frontend-killed',
    machine: 'xen',
    what: 'SIGKILL of the frontend, 5 times',
    limitMs: 400_000,
  },
  {
    name: 'frontend-killed-often',
    file: 'frontend-killed-often',
    machine: 'xen',
    what: 'the same 20 times; only where it is named',
    limitMs: 400_000,
    isLong: true,
  },
  {
    name: 'doctor',
    file: 'doctor',
    machine: 'xen',
    what: 'vsnd doctor, in a good guest and four broken ones',
  },
  { name: 'leaving', file: 'leaving', machine: 'xen', what: 'a frontend that ends while playing' },
  {
    name: 'volume-and-pause',
    file: 'volume-and-pause',
    machine: 'xen',
    what: 'volume, pause and resume at the backend',
  },
  {
    name: 'capture',
    file: 'capture',
    machine: 'xen',
    what: 'vsnd backend to vsnd, and to arecord on snd_xen_front',
  },
  {
    name: 'save-restore',
    file: 'save-restore',
    machine: 'xen',
    what: 'xl save and xl restore while playing, 3 times',
    limitMs: 600_000,
  },
  {
    name: 'save-restore-often',
    file: 'save-restore-often',
    machine: 'xen',
    what: 'the same 10 times; only where it is named',
    limitMs: 600_000,
    isLong: true,
  },
  { name: 'guest-destroyed', file: 'guest-destroyed', machine: 'xen', what: 'xl destroy while playing' },
  {
    name: 'driver-domain',
    file: 'driver-domain',
    machine: 'xen',
    what: 'vsnd backend in a driver domain, for another guest; killed while that plays',
    limitMs: 400_000,
  },
  {
    name: 'kernel-driver',
    file: 'kernel-driver',
    machine: 'xen',
    what: 'snd_xen_front and aplay to vsnd backend',
  },
  { name: 'contract', file: 'contract', machine: 'xen', what: 'the contract of the hypervisor interface' },
  {
    name: 'udev',
    file: 'udev',
    machine: 'xen',
    guest: { layer: 'udev' },
    what: 'the udev rule of docs/guest-setup.md, and a user who plays',
    limitMs: 400_000,
  },
  {
    name: 'play-node22-backports',
    file: 'other-guest',
    machine: 'xen',
    guest: { layer: 'node22-backports' },
    what: "vsnd doctor and play on Node 22, and the kernel of Debian's backports",
    limitMs: 400_000,
  },
  {
    name: 'play-node24-pvh',
    file: 'other-guest',
    machine: 'xen',
    guest: { type: 'pvh', layer: 'node24' },
    what: 'vsnd doctor and play on Node 24, in a PVH guest',
    limitMs: 400_000,
  },
  {
    name: 'play-hvm',
    file: 'other-guest',
    machine: 'xen',
    guest: { type: 'hvm', layer: 'hvm' },
    what: 'vsnd doctor and play in an HVM guest',
    limitMs: 600_000,
  },
  {
    name: 'play-oxenstored',
    file: 'play',
    machine: 'oxenstored',
    what: 'play, with the other XenStore daemon',
  },
  { name: 'play-arm64', file: 'play', machine: 'arm64', what: 'play, on Xen for arm64' },
];
