import { bufferLayout, type HwParams } from '../pcm/hw-params.ts';
import type { Span } from '../pcm/spans.ts';
import { ReleaseStack } from '../release-stack.ts';
import { pcmFormat } from '../wire/pcm-format.ts';
import { directoryPageCount, encodeDirectory } from '../wire/sndif.ts';
import { type GrantedPages, type Hypervisor, PAGE_SIZE } from '../xen/hypervisor.ts';

/** The buffer of one OPEN: granted pages, and the directory that names them to the backend. */
export class SharedBuffer {
  /** Bytes of the audio area, which begins at 0. */
  readonly audioBytes: number;
  /** Where the control area begins: 4 bytes a channel, to exchange volumes. */
  readonly controlOffset: number;
  /** Bytes of the whole buffer, as OPEN's buffer_sz says it. */
  readonly totalBytes: number;
  /** The first page of the directory. */
  readonly directoryGref: number;
  /** For an engine, which uses them beside JavaScript. */
  readonly pages: GrantedPages;
  readonly #silentSample: Uint8Array;
  readonly #releases: ReleaseStack;

  /** Grants all pages to `backendDomid`, for reading and writing: the reference library maps every one so. */
  static async grant(hypervisor: Hypervisor, backendDomid: number, params: HwParams): Promise<SharedBuffer> {
    const { audioBytes, controlOffset, totalBytes } = bufferLayout(params);
    const releases = new ReleaseStack();
    const grant = async (count: number) => {
      const pages = await hypervisor.grants.grant(backendDomid, count);
      releases.push(() => pages.release());
      return pages;
    };
    try {
      const pages = await grant(Math.ceil(totalBytes / PAGE_SIZE));
      const directory = await grant(directoryPageCount(pages.grefs.length));
      for (const [index, bytes] of encodeDirectory(pages.grefs, directory.grefs).entries()) {
        directory.copyIn(index * PAGE_SIZE, bytes);
      }
      const directoryGref = directory.grefs[0] ?? 0;
      const silence = pcmFormat(params.format).silence;
      return new SharedBuffer(
        { audioBytes, controlOffset, totalBytes, directoryGref },
        pages,
        Uint8Array.from(silence),
        releases,
      );
    } catch (error) {
      await releases.releaseAll();
      throw error;
    }
  }

  private constructor(
    sizes: Pick<SharedBuffer, 'audioBytes' | 'controlOffset' | 'totalBytes' | 'directoryGref'>,
    pages: GrantedPages,
    silentSample: Uint8Array,
    releases: ReleaseStack,
  ) {
    this.audioBytes = sizes.audioBytes;
    this.controlOffset = sizes.controlOffset;
    this.totalBytes = sizes.totalBytes;
    this.directoryGref = sizes.directoryGref;
    this.pages = pages;
    this.#silentSample = silentSample;
    this.#releases = releases;
  }

  /** Copies `bytes` to `offset`. */
  write(offset: number, bytes: Uint8Array): void {
    this.pages.copyIn(offset, bytes);
  }

  /** A copy of what stands in the spans, in their order. */
  read(where: readonly Span[]): Buffer {
    const bytes = Buffer.allocUnsafe(where.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const { offset, length } of where) {
      this.pages.copyOut(offset, bytes.subarray(at, at + length));
      at += length;
    }
    return bytes;
  }

  /** Fills a span, of whole samples, with silence. */
  silence({ offset, length }: Span): void {
    const bytes = new Uint8Array(length);
    for (let at = 0; at < length; at += this.#silentSample.length) bytes.set(this.#silentSample, at);
    this.pages.copyIn(offset, bytes);
  }

  /** Ends the grants. Only after the backend's answer to CLOSE, or its end. Idempotent. */
  release(): Promise<void> {
    return this.#releases.releaseAll();
  }
}
