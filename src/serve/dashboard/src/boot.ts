// Runs before the first paint, so that a dark page does not flash white.
import { apply_theme } from "./theme";

apply_theme();
