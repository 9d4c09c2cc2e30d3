// The clock of blinking: shows one picture, then the other. It stands still for those who asked
// for less motion, until they start it; the pictures can always be switched by hand.

export class Blink {
  // onTurn() when the other picture's turn has come, or when it starts or stops
  constructor({calm, onTurn}) {
    Object.assign(this, {onTurn, calm, playing: !calm, right: false, seconds: 1, inUse: false});
  }

  // Keep time while blinking is `inUse`, `seconds` for each picture.
  keep({inUse, seconds}) {
    if (inUse === this.inUse && seconds === this.seconds) return;
    if (!inUse) this.playing = !this.calm;
    Object.assign(this, {inUse, seconds});
    this.wind();
  }

  wind() {
    clearInterval(this.timer);
    if (!this.inUse || !this.playing) return;
    this.timer = setInterval(() => {
      this.right = !this.right;
      this.onTurn();
    }, 1000 * this.seconds);
  }

  play(playing) {
    this.playing = playing;
    this.wind();
    this.onTurn();
  }

  // Show the other one, and stop: who switches by hand wants to look.
  turn() {
    this.right = !this.right;
    this.play(false);
  }

  stop() {
    clearInterval(this.timer);
  }
}
