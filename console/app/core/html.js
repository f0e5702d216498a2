// Preact, its hooks, htm's `html` and signals, for every module of the console.
import htm from "../../vendor/htm.js";
import { Fragment, h, render } from "../../vendor/preact.js";

export { Fragment, render };
export {
  useCallback, useEffect, useErrorBoundary, useId, useLayoutEffect, useMemo, useRef, useState,
} from "../../vendor/hooks.js";
export { batch, computed, effect, signal } from "../../vendor/signals.js";
export const html = htm.bind(h);
