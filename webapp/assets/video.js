// Frames as an MP4, by the browser's own recorder: it films a canvas while the frames pass on it, so
// that it takes as long as the film. Only offered where the browser can.

const TYPE = "video/mp4;codecs=avc1.42E01F";
const BITS_A_PIXEL = 8; // a second: fields and roofs stay sharp
const LEAST_RATE = 25; // a frame that stays is filmed again, for players that dislike pauses

export function canRecord() {
  return typeof MediaRecorder !== "undefined" && MediaRecorder.isTypeSupported(TYPE);
}

// frames: [{data: RGBA bytes, width, height, delay: hundredths of a second}]; the MP4's Blob.
// Rejects where the recorder fails.
export async function recordMp4(frames) {
  const canvas = document.createElement("canvas");
  const [{width, height}] = frames;
  [canvas.width, canvas.height] = [width - (width % 2), height - (height % 2)]; // H.264 takes pairs
  const context = canvas.getContext("2d");
  const stream = canvas.captureStream(0);
  const [track] = stream.getVideoTracks();
  const recorder = new MediaRecorder(stream, {
    mimeType: TYPE, videoBitsPerSecond: BITS_A_PIXEL * canvas.width * canvas.height});
  const parts = [];
  recorder.ondataavailable = ({data}) => parts.push(data);
  const ended = new Promise((resolve, reject) => {
    recorder.onstop = resolve;
    recorder.onerror = ({error}) => reject(error);
  });
  recorder.start();
  for (const {data, delay} of frames) {
    const image = new ImageData(data, width, height);
    const until = performance.now() + 10 * delay;
    do {
      context.putImageData(image, 0, 0);
      track.requestFrame();
      await new Promise((resolve) => { setTimeout(resolve, 1000 / LEAST_RATE); });
    } while (performance.now() < until);
  }
  recorder.stop();
  await ended;
  track.stop();
  return new Blob(parts, {type: "video/mp4"});
}
