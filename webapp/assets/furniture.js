// What surrounds the picture: zoom buttons, scale bar, coordinates, credit, notice, progress.
import * as L from "./leaflet/leaflet.js";
import {element} from "./dom.js";

export function addFurniture(map, strings, {onHome, onCancel}) {
  L.control.zoom({position: "bottomright", zoomInTitle: strings.zoom_in,
                  zoomOutTitle: strings.zoom_out}).addTo(map);
  addHome(map, strings, onHome);
  L.control.scale({position: "bottomleft", imperial: false, maxWidth: 140}).addTo(map);
  const coordinates = readout(map);
  const attribution = element("div", {className: "credit"});
  const notice = element("div", {className: "notice", role: "note"});
  const job = progressChip(strings, onCancel);
  const alert = alertChip(strings);
  const foot = element("div", {className: "foot"});
  foot.append(alert.box, job.box, notice);
  const margin = element("div", {className: "margin"});
  margin.append(coordinates, attribution);
  map.getContainer().append(foot, margin);
  notice.hidden = true;
  return {
    foot,
    tell(news) {
      if ("notice" in news) {
        notice.textContent = news.notice ?? "";
        notice.hidden = !news.notice;
      }
      if ("attribution" in news) attribution.textContent = news.attribution ?? "";
      if ("alert" in news) alert.show(news.alert);
      if ("job" in news) job.show(news.job, news.progress);
    },
  };
}

function addHome(map, strings, onHome) {
  const control = L.control({position: "bottomright"});
  control.onAdd = () => {
    const bar = element("div", {className: "leaflet-bar"});
    const button = element("a", {className: "home", href: "#", role: "button", title: strings.home,
                                 "aria-label": strings.home}, "⌂");
    L.DomEvent.disableClickPropagation(bar);
    L.DomEvent.on(button, "click", (event) => {
      L.DomEvent.preventDefault(event);
      onHome();
    });
    bar.append(button);
    return bar;
  };
  control.addTo(map);
}

function readout(map) {
  const box = element("div", {className: "coordinates"});
  const write = ({lat, lng}) => {
    const {lat: y, lng: x} = L.latLng(lat, lng).wrap();
    box.textContent = `${Math.abs(y).toFixed(5)}° ${y < 0 ? "S" : "N"}  ` +
      `${Math.abs(x).toFixed(5)}° ${x < 0 ? "W" : "E"}`;
  };
  map.on("mousemove", ({latlng}) => write(latlng));
  map.on("moveend mouseout", () => write(map.getCenter()));
  return box;
}

function progressChip(strings, onCancel) {
  const box = element("div", {className: "job", role: "status"});
  const text = element("span");
  const bar = element("span", {className: "bar", role: "progressbar",
                               "aria-label": strings.super_resolution});
  const done = element("span", {className: "done"});
  const cancel = element("button", {type: "button"}, strings.cancel);
  bar.append(done);
  box.append(text, bar, cancel);
  box.hidden = true;
  L.DomEvent.disableClickPropagation(box);
  cancel.addEventListener("click", onCancel);
  return {
    box,
    show(label, percent) {
      box.hidden = label === null;
      text.textContent = label ?? "";
      done.style.width = `${percent}%`;
      bar.setAttribute("aria-valuenow", String(Math.round(percent ?? 0)));
    },
  };
}

// What went wrong, where there is no sidebar to say it.
function alertChip(strings) {
  const box = element("div", {className: "alert", role: "alert"});
  const text = element("span");
  const close = element("button", {type: "button", "aria-label": strings.alert_close}, "×");
  close.addEventListener("click", () => { box.hidden = true; });
  box.append(text, close);
  box.hidden = true;
  L.DomEvent.disableClickPropagation(box);
  return {
    box,
    show(said) {
      text.textContent = said;
      box.hidden = !said;
    },
  };
}
