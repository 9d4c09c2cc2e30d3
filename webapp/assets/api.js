// The server's HTTP interface, with every failure turned into one sentence for a person.

export class Problem extends Error {
  constructor(detail, {code = "", status = 0} = {}) {
    super(detail);
    this.code = code;
    this.status = status;
  }
}

export class Api {
  constructor(base, strings) {
    this.base = new URL(base, document.baseURI);
    this.strings = strings;
    this.maps = new Map();
    this.onLost = () => {};
  }

  url(path, query = {}) {
    const url = new URL(path.map(encodeURIComponent).join("/"), this.base);
    for (const [key, value] of Object.entries(query)) {
      if (value !== undefined && value !== null && value !== "") url.searchParams.set(key, value);
    }
    return url.href;
  }

  async fetch(url, options = {}) {
    let response;
    try {
      response = await fetch(url, options);
    } catch (error) {
      if (error.name === "AbortError") throw error;
      this.onLost();
      throw new Problem(this.strings.error_network, {code: "Network"});
    }
    if (!response.ok) throw await this.problem(response);
    return response;
  }

  async json(path, {query, body, ...options} = {}) {
    if (body !== undefined) {
      options.method = "POST";
      options.headers = {"Content-Type": "application/json"};
      options.body = JSON.stringify(body);
    }
    return (await this.fetch(this.url(path, query), options)).json();
  }

  // The colours of a colour map as CSS, from low to high; asked for once.
  colours(name) {
    if (!this.maps.has(name)) {
      const asked = this.json(["colorMaps", name]).then((found) =>
        Object.values(found).map(([red, green, blue]) => `rgb(${red} ${green} ${blue})`));
      asked.catch(() => this.maps.delete(name)); // and again next time
      this.maps.set(name, asked);
    }
    return this.maps.get(name);
  }

  async problem(response) {
    const facts = {status: response.status};
    try {
      const document = await response.json();
      facts.code = document.code;
      if (typeof document.detail === "string") return new Problem(document.detail, facts);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error; // not JSON: fall through to our own words
    }
    return new Problem(`${this.strings.error_server} (${response.status})`, facts);
  }
}
