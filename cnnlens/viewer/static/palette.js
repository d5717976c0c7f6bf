// A map's PNG holds levels and a palette; other colours are another palette.

const PALETTE = 0x504c5445; // "PLTE"
const CRC = Uint32Array.from({ length: 256 }, (_, n) => {
	for (let bit = 0; bit < 8; bit += 1) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
	return n;
});
const checksum = (bytes) => ~bytes.reduce((sum, byte) => CRC[(sum ^ byte) & 255] ^ (sum >>> 8), -1);

/** The PNG with that palette; as it is where it has none. */
export function recoloured(png, colours) {
	const size = colours.length;
	let view = new DataView(png);
	for (let at = 8; at + 12 + size <= png.byteLength; at += 12 + view.getUint32(at)) {
		if (view.getUint32(at + 4) !== PALETTE || view.getUint32(at) !== size) continue;
		view = new DataView(png.slice());
		const chunk = new Uint8Array(view.buffer, at + 4, 4 + size);
		chunk.set(colours, 4);
		view.setUint32(at + 8 + size, checksum(chunk));
		break;
	}
	return new Blob([view], { type: "image/png" });
}
