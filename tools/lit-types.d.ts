/** What the declarations of the elements say of Lit, in terms of the DOM alone. */

/** A custom element that renders into a shadow root, some time after a property changes. */
export declare class LitElement extends HTMLElement implements ReactiveControllerHost {
  /** Settles when the element has rendered its latest changes. */
  readonly updateComplete: Promise<boolean>;
  readonly hasUpdated: boolean;
  connectedCallback(): void;
  disconnectedCallback(): void;
  attributeChangedCallback(name: string, old: string | null, value: string | null): void;
  addController(controller: ReactiveController): void;
  removeController(controller: ReactiveController): void;
  requestUpdate(): void;
  protected createRenderRoot(): HTMLElement | DocumentFragment;
  protected willUpdate(changed: PropertyValues): void;
  protected update(changed: PropertyValues): void;
  protected firstUpdated(changed: PropertyValues): void;
  protected updated(changed: PropertyValues): void;
  protected render(): unknown;
}

export interface ReactiveController {
  hostConnected?(): void;
  hostDisconnected?(): void;
  hostUpdate?(): void;
  hostUpdated?(): void;
}

export interface ReactiveControllerHost {
  readonly updateComplete: Promise<boolean>;
  addController(controller: ReactiveController): void;
  removeController(controller: ReactiveController): void;
  requestUpdate(): void;
}

export type PropertyValues<T = unknown> = T extends object ? Map<keyof T, unknown> : Map<PropertyKey, unknown>;
export type TemplateResult<_Kind = unknown> = object;
export type CSSResult = object;
export type CSSResultGroup = object;
export type PropertyDeclarations = Record<string, object>;
export declare const nothing: unique symbol;
