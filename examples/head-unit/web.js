import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';

const PAGE = readFileSync(new URL('page.html', import.meta.url));

/** ms between two states that the page is told. */
const REFRESH = 50;

/** Bytes that a button's value may have. */
const LONGEST_VALUE = 100;

const PAGE_HEADERS = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy':
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'cache-control': 'no-store',
};

/**
 * Serves the page on this machine only: its state, `readState()`, as server-sent events, and its buttons, functions of a
 * text by name, as POST /NAME. Whatever a browser has been tricked into, by another site's page or by a name that points
 * here, is refused. Resolves with the page's address and a function that closes it.
 */
export async function serve({ port, readState, buttons }) {
  const server = createServer((request, response) => {
    answer(request, response, { readState, buttons }).catch((error) => {
      if (!response.headersSent) reply(response, 400, error.message);
    });
  });
  await new Promise((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve));
  const address = `http://127.0.0.1:${server.address().port}/`;
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  return { address, close };
}

async function answer(request, response, { readState, buttons }) {
  const { port } = request.socket.address();
  const { host, origin } = request.headers;
  if (![`127.0.0.1:${port}`, `localhost:${port}`].includes(host)) {
    return reply(response, 403, `this is not ${host}`);
  }
  const name = request.url.slice(1);
  switch (request.method) {
    case 'GET':
      if (name === '') return response.writeHead(200, PAGE_HEADERS).end(PAGE);
      if (name === 'state') return tell(response, readState);
      return reply(response, 404, `there is no ${request.url}`);
    case 'POST':
      if (origin !== undefined && origin !== `http://${host}`)
        return reply(response, 403, `not for ${origin}`);
      if (!Object.hasOwn(buttons, name)) return reply(response, 404, `there is no button ${name}`);
      await buttons[name](await readValue(request));
      return response.writeHead(204).end();
    default:
      return reply(response, 405, `${request.method} does nothing here`);
  }
}

/** Tells the state until the page goes away. */
function tell(response, readState) {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  const say = () => response.write(`data: ${JSON.stringify(readState())}\n\n`);
  say();
  const timer = setInterval(say, REFRESH);
  response.once('close', () => clearInterval(timer));
}

async function readValue(request) {
  let value = '';
  for await (const chunk of request.setEncoding('utf8')) {
    value += chunk;
    if (value.length > LONGEST_VALUE) throw new Error(`a value has at most ${LONGEST_VALUE} characters`);
  }
  return value;
}

function reply(response, status, message) {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' }).end(`${message}\n`);
}
