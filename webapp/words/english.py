"""The words of the page in English; the other languages have the same keys."""

from collections.abc import Mapping
from types import MappingProxyType

ENGLISH: Mapping[str, str] = MappingProxyType(
    {
        "title": "srcube explorer",
        "loading": "Loading…",
        # controls
        "collection": "Collection",
        "date": "Date",
        "scene": "{date}, {cloud} % cloud",
        "scene_no_cloud": "{date}",
        "left": "Left of the handle",
        "right": "Right of the handle",
        "layer": "Layer",
        "model": "Model",
        "bands": "Bands",
        "preset_true": "True colour",
        "preset_nir": "False colour (NIR)",
        "pixels": "Show pixels",
        "super_resolution": "Super-resolution",
        "run": "Super-resolve this view",
        "follow": "Follow the view",
        "cancel": "Cancel",
        # what a run would cost, and how one goes
        "plan": "{total} blocks in view, {cached} ready. About {seconds} s (limit {limit} blocks).",
        "plan_ready": "All {total} blocks in view are ready.",
        "plan_over": "The view holds {total} blocks; the limit is {limit}. Zoom in.",
        "plan_nothing": "Choose a super-resolved layer, or move the map onto the collection.",
        "job_accepted": "Waiting to start…",
        "job_running": "Super-resolving: {done} of {total} blocks",
        "job_successful": "",
        "job_failed": "Stopped: {message}",
        "job_dismissed": "Cancelled. Finished blocks are kept.",
        # the map
        "zoom_in": "Zoom in",
        "zoom_out": "Zoom out",
        "home": "Back to the middle of the collection",
        "swipe_label": "Divide between the left and the right layer",
        "swipe_value": "{percent} % {left}, the rest {right}",
        "pending_note": "Grey: not yet super-resolved",
        "layer_absent": "Not available on this date",
        # why a place looks as it does
        "why_title": "Why does it look like this?",
        "why_hint": "Click a place on the map to see what made it (or press Enter for the middle).",
        "why_nothing": "Nothing here comes from a model. Choose a super-resolved layer first.",
        "why_close": "Close the explanation",
        "why_what": "{model}, a window of {height} x {width} measured pixels",
        "why_input": "What the model saw",
        "why_input_date": "The date shown",
        "why_sr": "What it made of it",
        "why_attribution": "Where the detail came from",
        "why_index": "Diffusion index {index} of 100",
        "why_index_meaning": "0: one pixel made all the detail. 100: all pixels seen did alike.",
        "why_shares_bands": "Part of each band",
        "why_shares_distance_px": "Part by distance from the window, in pixels",
        "why_inside": "inside",
        "why_shares_dates": "Part of each date",
        "why_complete": "The parts add up to the detail within {error} %.",
        # the tools beside the map
        "tools": "Tools",
        "tool_close": "Close {tool}",
        # what can go wrong
        "error_network": "The server cannot be reached. Check that it is still running.",
        "error_server": "The server could not answer",
        "outside": "The view lies outside the collection. Move the map back onto it.",
        "nothing_to_resolve": "Neither side shows a super-resolved layer. Choose one first.",
        "no_collections": "The catalog is empty: there is no collection to show yet.",
    }
)
