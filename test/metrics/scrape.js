// Debian's prometheus (package prometheus) scrapes a backend with an emulated guest; its promtool reads what we say, and
// what docs/ has for it.
//
//   node test/metrics/scrape.js
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const { version } = JSON.parse(readFileSync(`${root}/package.json`, 'utf8'));

/** ms: how long Prometheus may take to see what there is. */
const PATIENCE = 60_000;

/** A playback stream of the guest that `vsnd backend --emulate` serves. */
const STREAM = 'domid="1",devid="0",device="0",stream="0",type="playback"';

const directory = mkdtempSync(join(tmpdir(), 'vsnd-metrics-'));
const children = [];
let prometheus;
let backend;

function start(command, args) {
  const child = spawn(command, args, { cwd: directory, stdio: ['ignore', 'pipe', 'pipe'] });
  children.push(child);
  const said = { text: '' };
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (piece) => {
      said.text = (said.text + piece).slice(-100_000);
    });
  }
  return { child, said };
}

/** Starts a backend; returns where its metrics are, too. */
async function startBackend(metrics) {
  const { child, said } = start(process.execPath, [
    `${root}/dist/cli/main.js`,
    ...['backend', '--emulate', '--sink', 'null', '--metrics', metrics],
  ]);
  const url = await eventually(() => {
    assert.equal(child.exitCode, null, said.text);
    assert.equal(said.text.match(/: opened/g)?.length, 4, said.text);
    return said.text.match(/metrics at (\S+)/)[1];
  });
  return { child, url };
}

/** What `look` returns, when it has stopped throwing. */
async function eventually(look) {
  const end = performance.now() + PATIENCE;
  for (;;) {
    try {
      return await look();
    } catch (error) {
      if (performance.now() > end) throw error;
      await setTimeout(200);
    }
  }
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  return port;
}

/** Runs promtool over a file, or over standard input. */
function promtool(args, input) {
  const { status, stdout, stderr, error } = spawnSync('promtool', args, { input, encoding: 'utf8' });
  if (error) throw new Error(`promtool (Debian: prometheus): ${error.message}`);
  assert.deepEqual({ status, stderr }, { status: 0, stderr: '' }, stdout);
}

/** What Prometheus' own HTTP API says. */
async function ask(path, parameters = {}) {
  const answer = await fetch(`${prometheus}/api/v1/${path}?${new URLSearchParams(parameters)}`);
  const { status, data, error } = await answer.json();
  assert.equal(status, 'success', `${parameters.query}: ${error}`);
  return data;
}

/** The values that a query finds now. */
async function query(expression) {
  const { result } = await ask('query', { query: expression });
  return result.map(({ metric, value }) => ({ ...metric, value: Number(value[1]) }));
}

before(async () => {
  const { child, url } = await startBackend('127.0.0.1:0');
  backend = child;
  const target = new URL(url).host;
  const config = join(directory, 'prometheus.yml');
  writeFileSync(
    config,
    `global: { scrape_interval: 1s, evaluation_interval: 1s }
rule_files: [${root}/docs/alerts.yml]
scrape_configs:
  - job_name: vsnd
    static_configs: [{ targets: ['${target}'] }]
`,
  );
  const port = await freePort();
  prometheus = `http://127.0.0.1:${port}`;
  start('prometheus', [
    `--config.file=${config}`,
    `--storage.tsdb.path=${join(directory, 'data')}`,
    `--web.listen-address=127.0.0.1:${port}`,
  ]);
  await eventually(async () => assert.equal((await query('up{job="vsnd"}'))[0].value, 1));
});

after(async () => {
  for (const child of children) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill();
    await once(child, 'exit');
  }
  rmSync(directory, { recursive: true, force: true });
});

test('the target is up, and answers in the format that it was asked for', async () => {
  const { activeTargets } = await ask('targets');
  assert.deepEqual(
    activeTargets.map(({ health, lastError }) => ({ health, lastError })),
    [{ health: 'up', lastError: '' }],
  );
  const [{ unit, type }] = await ask('targets/metadata', { metric: 'vsnd_stream_latency_seconds' });
  assert.deepEqual({ unit, type }, { unit: 'seconds', type: 'gauge' });
});

test('versions', async () => {
  const [build] = await query('vsnd_build_info');
  assert.equal(build.version, version);
  assert.equal(build.node, process.versions.node);
});

test('four streams run, each with its labels', async () => {
  const running = await eventually(async () => {
    const found = await query('vsnd_stream_state{state="running"} == 1');
    assert.equal(found.length, 4);
    return found;
  });
  const names = running.map(({ domid, devid, device, stream, type }) =>
    [domid, devid, device, stream, type].join(' '),
  );
  assert.deepEqual(names.sort(), [
    '1 0 0 0 playback',
    '1 0 0 1 capture',
    '1 0 1 0 playback',
    '1 0 2 0 playback',
  ]);
});

test('frames grow at the rate of the stream, requests with them, and sound waits', async () => {
  await eventually(async () => {
    const [{ value }] = await query(`rate(vsnd_stream_frames_total{${STREAM}}[10s])`);
    assert.ok(value > 40_000 && value < 56_000, `${value} frames a second`);
  });
  const [requests] = await query(`rate(vsnd_stream_requests_total{${STREAM}}[10s])`);
  assert.ok(requests.value > 10 && requests.value < 500, `${requests.value} requests a second`);
  const [latency] = await query(`vsnd_stream_latency_seconds{${STREAM}} / vsnd_stream_buffer_seconds`);
  assert.ok(latency.value > 0 && latency.value <= 1, `${latency.value} of the buffer`);
});

test('limits', async () => {
  const [streams] = await query('vsnd_guest_limit_used{domid="1",limit="streams"} < vsnd_guest_limit');
  assert.equal(streams.value, 4);
  assert.deepEqual(
    await query('vsnd_guest_limit_refused_total > 0 or vsnd_guest_limit_delayed_total > 0'),
    [],
  );
});

test('a guest that is well alerts nobody', async () => {
  const { groups } = await ask('rules');
  const rules = groups.flatMap((group) => group.rules);
  assert.ok(rules.length > 5);
  for (const { name, health, state } of rules) {
    assert.equal(health, 'ok', name);
    // What other work does to this machine is no fault of the guest's.
    if (!['VsndEventLoopGap', 'VsndXruns'].includes(name)) assert.equal(state, 'inactive', name);
  }
});

test('Prometheus understands what the dashboard asks, and all that the guest has is found', async () => {
  const { panels } = JSON.parse(readFileSync(`${root}/docs/grafana-dashboard.json`, 'utf8'));
  for (const { title, targets } of panels) {
    for (const { expr } of targets) {
      const expression = expr.replaceAll('$__rate_interval', '10s').replace(/\$\w+/g, '.*');
      const found = await query(expression);
      if (!/ > 0/.test(expression)) assert.ok(found.length > 0, `${title}: ${expression} finds nothing`);
    }
  }
});

test('a process that stands still is seen', async () => {
  backend.kill('SIGSTOP');
  await setTimeout(2000);
  backend.kill('SIGCONT');
  await eventually(async () => {
    const [gap] = await query('vsnd_event_loop_worst_gap_seconds');
    assert.ok(gap.value > 1.5 && gap.value < 60, `${gap.value} s`);
  });
});

test('promtool has nothing to say against the rules', () => {
  promtool(['check', 'rules', `${root}/docs/alerts.yml`]);
  promtool(['test', 'rules', `${root}/test/metrics/alerts.yml`]);
});

test('promtool has nothing to say against the metrics, over a socket', async () => {
  const socketPath = join(directory, 'metrics.sock');
  const { url } = await startBackend(`unix:${socketPath}`);
  assert.equal(url, `unix:${socketPath}`);
  const request = get({ socketPath, path: '/metrics', headers: { accept: 'text/plain' } });
  const [answer] = await once(request, 'response');
  const metrics = await text(answer);
  assert.match(metrics, /^vsnd_stream_frames_total\{domid="1",.*\} \d+$/m);
  promtool(['check', 'metrics'], metrics);
});
