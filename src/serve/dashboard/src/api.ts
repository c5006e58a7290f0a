// Requests to the engine that served this page. Addresses are relative, so the page also works
// behind a proxy that puts it under a path. One Api for the life of the page.

import { parse_json } from "./json";
import type {
  Anomaly,
  DeadLetters,
  HealthReport,
  Incident,
  Pipeline,
  StreamState,
  WindowAnswer,
  WindowInfo,
} from "./types";

const kTokenKey = "streamobs.token";
const kTimeoutMs = 20_000;
/** A clock that differs by less is right: the Date header only has whole seconds. */
const kClockSlackMs = 5_000;

/** Asks the reader for the token; `refused` says that the last one was wrong. */
export type AskToken = (refused: boolean) => Promise<string>;

export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

type Parameters = Record<string, string | number | null | undefined>;

export class Api {
  private token_: string | null = read_token();
  private asking_: Promise<void> | null = null;
  private clock_offset_ms_ = 0;

  constructor(private readonly ask_token_: AskToken) {}

  /** Now by the server's clock: what it calls "a minute ago" should be one here too. */
  now(): number {
    return Date.now() + this.clock_offset_ms_;
  }

  /**
   * fetch() with the token; asks for it when the server wants one, and then tries again. Each try
   * has `timeout_ms` for its headers and body (null: no limit, for the live stream).
   */
  async request(
    path: string,
    parameters: Parameters,
    init: RequestInit,
    timeout_ms: number | null,
  ): Promise<Response> {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(parameters)) {
      if (value != null) query.append(name, String(value));
    }
    const text = query.toString();
    for (;;) {
      if (this.asking_) await this.asking_;
      const token = this.token_;
      const headers = new Headers(init.headers);
      if (token) headers.set("Authorization", `Bearer ${token}`);
      const signal = timeout_ms === null ? (init.signal ?? null) : AbortSignal.timeout(timeout_ms);
      const response = await fetch(text ? `${path}?${text}` : path, {
        ...init,
        headers,
        signal,
        cache: "no-store",
        credentials: "same-origin",
      });
      this.read_clock(response);
      if (response.status !== 401) return response;
      void response.body?.cancel();
      // Another request may have got a new token in the meantime.
      if (this.token_ === token) await this.renew_token(token !== null);
    }
  }

  private async get<T>(path: string, parameters: Parameters = {}): Promise<T> {
    const headers = { Accept: "application/json" };
    const response = await this.request(path, parameters, { headers }, kTimeoutMs);
    if (!response.ok) throw new ApiError(response.status, await problem_text(response));
    return parse_json(await response.text()) as T;
  }

  async windows(): Promise<WindowInfo[]> {
    return rows(await this.get<{ rows: WindowInfo[] }>("api/v1/windows"));
  }

  async window_rows(name: string, parameters: Parameters): Promise<WindowAnswer> {
    const path = `api/v1/windows/${encodeURIComponent(name)}`;
    const answer = await this.get<Partial<WindowAnswer>>(path, parameters);
    return { rows: answer.rows ?? [], resolution: answer.resolution ?? ["raw"] };
  }

  async anomalies(parameters: Parameters): Promise<Anomaly[]> {
    return rows(await this.get<{ rows: Anomaly[] }>("api/v1/anomalies", parameters));
  }

  async incidents(parameters: Parameters): Promise<Incident[]> {
    return rows(await this.get<{ rows: Incident[] }>("api/v1/incidents", parameters));
  }

  async dead_letters(limit: number): Promise<DeadLetters> {
    const answer = await this.get<Partial<DeadLetters>>("api/v1/dead-letters", { limit });
    return { rows: answer.rows ?? [], counts: answer.counts ?? [] };
  }

  async pipeline(): Promise<Pipeline> {
    return this.get<Pipeline>("api/v1/pipeline");
  }

  async health(): Promise<HealthReport> {
    return this.get<HealthReport>("api/v1/health");
  }

  async streams(): Promise<StreamState[]> {
    return rows(await this.get<{ rows: StreamState[] }>("api/v1/streams"));
  }

  private renew_token(refused: boolean): Promise<void> {
    this.asking_ ??= this.ask_token_(refused).then((token) => {
      this.token_ = token;
      try {
        sessionStorage.setItem(kTokenKey, token);
      } catch {
        // Without storage the token lasts as long as the page.
      }
      this.asking_ = null;
    });
    return this.asking_;
  }

  private read_clock(response: Response): void {
    const date = Date.parse(response.headers.get("Date") ?? "");
    if (!Number.isFinite(date)) return;
    const offset = date - Date.now();
    this.clock_offset_ms_ = Math.abs(offset) > kClockSlackMs ? offset : 0;
  }
}

function rows<T>(answer: { rows?: T[] }): T[] {
  return answer.rows ?? [];
}

function read_token(): string | null {
  try {
    return sessionStorage.getItem(kTokenKey);
  } catch {
    return null;
  }
}

/** The `detail` of a problem (RFC 9457), or the status. */
async function problem_text(response: Response): Promise<string> {
  try {
    const problem = (await response.json()) as { title?: string; detail?: string };
    return problem.detail ?? problem.title ?? `HTTP ${response.status}`;
  } catch {
    return `HTTP ${response.status} ${response.statusText}`;
  }
}
