import { parentPort, workerData } from 'node:worker_threads';
import { live } from './worker.js';

live(workerData.mode, workerData.addon, () => parentPort.postMessage('ready'));
