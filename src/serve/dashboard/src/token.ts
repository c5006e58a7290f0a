// The dialog for the token. It is asked for once, and kept by api.ts for as long as the tab lives.

import { by_id, set_text } from "./dom";

export function ask_token(refused: boolean): Promise<string> {
  const dialog = by_id<HTMLDialogElement>("token-dialog");
  const form = by_id<HTMLFormElement>("token-form");
  const input = by_id<HTMLInputElement>("token-input");
  set_text(
    by_id("token-text"),
    refused
      ? "That was not it. Please try again: it is the value of [http] token in the config."
      : "It is the value of [http] token in the config. It is kept in this tab only.",
  );
  input.value = "";
  return new Promise((resolve) => {
    // Nothing can be shown without a token, so Escape does not close the dialog.
    const stay = (event: Event): void => event.preventDefault();
    dialog.addEventListener("cancel", stay);
    form.onsubmit = (event) => {
      event.preventDefault();
      const token = input.value.trim();
      if (token === "") return;
      dialog.removeEventListener("cancel", stay);
      form.onsubmit = null;
      dialog.close();
      resolve(token);
    };
    if (!dialog.open) dialog.showModal();
    input.focus();
  });
}
