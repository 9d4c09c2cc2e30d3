"""The words of the page in German."""

from collections.abc import Mapping
from types import MappingProxyType

GERMAN: Mapping[str, str] = MappingProxyType(
    {
        "title": "srcube-Explorer",
        "loading": "Lädt …",
        # controls
        "collection": "Sammlung",
        "date": "Datum",
        "scene": "{date}, {cloud} % Wolken",
        "scene_no_cloud": "{date}",
        "left": "Links vom Griff",
        "right": "Rechts vom Griff",
        "layer": "Ebene",
        "model": "Modell",
        "bands": "Bänder",
        "preset_true": "Echtfarben",
        "preset_nir": "Falschfarben (NIR)",
        "pixels": "Pixel zeigen",
        "super_resolution": "Superauflösung",
        "run": "Diesen Ausschnitt superauflösen",
        "follow": "Dem Ausschnitt folgen",
        "cancel": "Abbrechen",
        # what a run would cost, and how one goes
        "plan": "{total} Blöcke im Ausschnitt, {cached} fertig. Etwa {seconds} s (höchstens {limit} Blöcke).",
        "plan_ready": "Alle {total} Blöcke im Ausschnitt sind fertig.",
        "plan_over": "Der Ausschnitt hat {total} Blöcke, erlaubt sind {limit}. Bitte hineinzoomen.",
        "plan_nothing": "Eine superaufgelöste Ebene wählen oder die Karte auf die Sammlung schieben.",
        "job_accepted": "Wartet auf den Beginn …",
        "job_running": "Superauflösung: {done} von {total} Blöcken",
        "job_successful": "",
        "job_failed": "Angehalten: {message}",
        "job_dismissed": "Abgebrochen. Fertige Blöcke bleiben.",
        # the map
        "zoom_in": "Hineinzoomen",
        "zoom_out": "Herauszoomen",
        "home": "Zurück zur Mitte der Sammlung",
        "swipe_label": "Grenze zwischen linker und rechter Ebene",
        "swipe_value": "{percent} % {left}, der Rest {right}",
        "pending_note": "Grau: noch nicht superaufgelöst",
        "layer_absent": "An diesem Datum nicht vorhanden",
        # why a place looks as it does
        "why_title": "Warum sieht es so aus?",
        "why_hint": "Auf einen Ort klicken, um zu sehen, was ihn gemacht hat (oder Eingabetaste für die Mitte).",
        "why_nothing": "Hier stammt nichts von einem Modell. Zuerst eine superaufgelöste Ebene wählen.",
        "why_close": "Erklärung schließen",
        "why_what": "{model}, ein Fenster von {height} x {width} gemessenen Pixeln",
        "why_input": "Was das Modell sah",
        "why_input_date": "Das gezeigte Datum",
        "why_sr": "Was es daraus machte",
        "why_attribution": "Woher die Einzelheiten kamen",
        "why_index": "Diffusionsindex {index} von 100",
        "why_index_meaning": "0: ein Pixel machte alle Einzelheiten. 100: alle gesehenen Pixel gleich viel.",
        "why_shares_bands": "Anteil je Band",
        "why_shares_distance_px": "Anteil nach Abstand vom Fenster, in Pixeln",
        "why_inside": "innen",
        "why_shares_dates": "Anteil je Datum",
        "why_complete": "Die Anteile ergeben zusammen die Einzelheiten auf {error} % genau.",
        # the tools beside the map
        "tools": "Werkzeuge",
        "tool_close": "{tool} schließen",
        # what can go wrong
        "error_network": "Der Server ist nicht erreichbar. Läuft er noch?",
        "error_server": "Der Server konnte nicht antworten",
        "outside": "Der Ausschnitt liegt außerhalb der Sammlung. Bitte die Karte zurückschieben.",
        "nothing_to_resolve": "Keine Seite zeigt eine superaufgelöste Ebene. Bitte zuerst eine wählen.",
        "no_collections": "Der Katalog ist leer: Es gibt noch keine Sammlung zu zeigen.",
    }
)
