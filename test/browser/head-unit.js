// The head unit's page in a real browser (Debian: chromium). With --picture it makes docs/head-unit.png; fonts-inter is
// the font that the page asks for.
//
//   node test/browser/head-unit.js [--picture]
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const UNIT = fileURLToPath(new URL('../../examples/head-unit/main.js', import.meta.url));
const PICTURE = fileURLToPath(new URL('../../docs/head-unit.png', import.meta.url));
const CAR = { width: 1024, height: 600 };
const PHONES = [
  { width: 390, height: 844 },
  { width: 320, height: 568 },
];

/** A browser that asks nobody anything; its profile is new, and gone afterwards. */
const BROWSER = {
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
};

let unit;
let browser;
let page;
const complaints = [];

before(async () => {
  unit = spawn(process.execPath, ['--no-warnings', UNIT, '--port', '0'], {
    env: { ...process.env, VSND_EMULATE: '1' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = await once(unit.stdout, 'data');
  browser = await chromium.launch(BROWSER);
  page = await browser.newPage({ viewport: CAR });
  page.on('console', (message) => complaints.push(message.text()));
  page.on('pageerror', (error) => complaints.push(error.message));
  await page.goto(String(line).match(/http:\S+/)[0]);
  await page.getByText('connected', { exact: true }).waitFor();
});

after(async () => {
  await browser?.close();
  unit.kill();
  if (unit.exitCode === null) await once(unit, 'exit');
});

const button = (name) => page.getByRole('button', { name });
const stream = (name) => page.getByRole('region', { name });
const subtitle = (text) => page.locator('#subtitle', { hasText: text }).waitFor();

/** dBFS: the level that a stream's meter shows. */
const level = async (name) => Number(await stream(name).getByRole('meter').getAttribute('aria-valuenow'));

/** Resolves when a stream's meter shows a level within these bounds, dBFS; -60 is silence. */
const levelWithin = (name, least, most) =>
  page.waitForFunction(
    ([label, low, high]) => {
      const meter = document.querySelector(`section[aria-label^="${label}"] [role=meter]`);
      return meter.ariaValueNow >= low && meter.ariaValueNow <= high;
    },
    [name, least, most],
    { polling: 20 },
  );

async function seconds(name) {
  return Number(await stream(name).locator('.position').textContent());
}

test('music plays: its level moves, and its position', async () => {
  const shown = new Set();
  const began = await seconds('Music');
  while (shown.size < 3) shown.add(await level('Music'));
  await levelWithin('Music', -40, 0);
  while ((await seconds('Music')) < began + 0.5);
});

test('a prompt is heard, ducks the music, and gives it back', async () => {
  await button('Navigation').click();
  await subtitle('Ducked by 15 dB');
  await levelWithin('Navigation', -20, 0);
  await levelWithin('Music', -59, -30);
  await subtitle('Playing');
  await levelWithin('Navigation', -60, -60);
});

test('the chime shows its latency', async () => {
  await button('Warning').click();
  await levelWithin('Warning', -30, 0);
  const text = await page.getByText(/^heard in /).textContent();
  const [, milliseconds, error] = text.match(/^heard in ([\d.−-]+) ± ([\d.]+) ms$/);
  assert.ok(Number(milliseconds) + Number(error) >= 0, text);
});

test('volume, mute and pause', async () => {
  const slider = page.getByRole('slider', { name: 'Volume of the music' });
  await slider.press('ArrowLeft');
  await page.getByText('−10 dB', { exact: true }).waitFor();
  await button('Louder').click();
  await page.getByText('−8 dB', { exact: true }).waitFor();

  await button('Mute').click();
  await subtitle('Muted');
  await levelWithin('Music', -60, -60);
  await page.keyboard.press('m');
  await subtitle('Playing');

  await button('Pause').click();
  await subtitle('Paused');
  await stream('Music').getByText('paused').waitFor();
  const stood = await seconds('Music');
  await button('Play').click();
  await subtitle('Playing');
  while ((await seconds('Music')) <= stood);
});

test('another source', async () => {
  await button('Coast Road').click();
  await page.locator('#title', { hasText: 'Coast Road' }).waitFor();
  assert.equal(await button('Coast Road').getAttribute('aria-pressed'), 'true');
  await button('Night Drive').click();
  await page.locator('#title', { hasText: 'Night Drive' }).waitFor();
});

test('another source while it is paused: its title is shown at once', async () => {
  await button('Pause').click();
  await subtitle('Paused');
  await button('Coast Road').click();
  await page.locator('#title', { hasText: 'Coast Road' }).waitFor();
  await button('Night Drive').click();
  await page.locator('#title', { hasText: 'Night Drive' }).waitFor();
  await button('Play').click();
  await subtitle('Playing');
});

test('fits its screens, with buttons that a finger hits', async () => {
  const overflow = () =>
    page.evaluate(() => {
      const { scrollWidth, scrollHeight } = document.documentElement;
      return { width: scrollWidth - innerWidth, height: scrollHeight - innerHeight };
    });
  assert.deepEqual(await overflow(), { width: 0, height: 0 });
  for (const phone of PHONES) {
    await page.setViewportSize(phone);
    assert.equal((await overflow()).width, 0, `${phone.width} px`);
    // Each stream's name and state stand in one line.
    const heights = await page
      .locator('#streams header')
      .evaluateAll((headers) => headers.map((header) => header.offsetHeight));
    assert.ok(Math.max(...heights) < 36, `${phone.width} px: ${heights}`);
    // Nothing is cut off, nor over what stands beside it, but a title, which has an ellipsis.
    const cut = await page.evaluate(() =>
      [...document.querySelectorAll('button, dd, dt, header, section, fieldset:not(#sources)')]
        .filter((element) => element.scrollWidth > element.clientWidth && element.clientWidth > 0)
        .map((element) => `${element.tagName} ${element.textContent.trim()}`),
    );
    assert.deepEqual(cut, [], `${phone.width} px`);
    for (const target of await page.getByRole('button').all()) {
      const box = await target.boundingBox();
      if (box) assert.ok(box.width >= 48 && box.height >= 48, `${await target.textContent()}: ${box.width}`);
    }
  }
  await page.setViewportSize(CAR);
});

test('a picture, in the middle of a prompt', async () => {
  await button('Warning').click();
  await page.getByText(/^heard in /).waitFor();
  await stream('Warning').getByText('prepared').waitFor();
  await button('Navigation').click();
  await subtitle('Ducked by 15 dB');
  await levelWithin('Navigation', -20, 0);
  const picture = await page.screenshot();
  assert.ok(picture.length > 20_000 && picture.length < 200_000, `${picture.length} bytes`);
  if (process.argv.includes('--picture')) writeFileSync(PICTURE, picture);
});

test('the browser has had nothing to complain about', () => assert.deepEqual(complaints, []));
