// A process that claims a device as src/xen/linux/claim.ts does, and holds it until it is killed.
//
//   node test/native/claimer.js ADDON NODE DEVICE [UID]
import { createHash } from 'node:crypto';
import { openSync } from 'node:fs';
import { createRequire } from 'node:module';

const [addon, node, device, uid] = process.argv.slice(2);
const fd = openSync(node, 'r+');
if (uid !== undefined) process.setuid(Number(uid)); // by itself: Node may lie where only root can start it
const region = createHash('sha256').update(device).digest().readUInt32LE() % 2 ** 31;
const owner = createRequire(import.meta.url)(addon).lockRegion(fd, region, process.pid);
console.log(owner ?? 'claimed');
setInterval(() => {}, 1e9);
