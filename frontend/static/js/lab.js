// @ts-check
/** The lab: picture and prompts in, a result out, drawn by the server, and what can be asked of it. */

import { announce } from "./announce.js";
import { post, showProblem } from "./api.js";
import { Chips } from "./chips.js";
import { part } from "./dom.js";
import { awaitModel } from "./lab/await_model.js";
import { Drawn } from "./lab/drawn.js";
import { areasOf, copy, curlOf } from "./lab/files.js";
import { classesOf, wireLegend } from "./lab/legend.js";
import { offerWords } from "./lab/near_words.js";
import { deleteOwned, owns } from "./lab/owned.js";
import { emptyParts, replaceParts, setInert } from "./lab/result_parts.js";
import { Score } from "./lab/score.js";
import { Settings } from "./lab/settings.js";
import { Stage } from "./lab/stage.js";
import { Steps } from "./lab/steps.js";
import { Tabs } from "./lab/tabs.js";
import { Trial } from "./lab/trial.js";
import { WhatIf } from "./lab/what_if.js";
import { Why } from "./lab/why.js";
import { Work } from "./lab/work.js";
import { leaveWord } from "./left_word.js";
import { rememberUpload } from "./memory.js";
import { Picture } from "./picture.js";
import { pressedTwice } from "./press_twice.js";
import { save } from "./save.js";
import { tellKept } from "./share.js";
import { upload } from "./upload.js";

/** @typedef {import("./lab/wire.js").Segmentation} Segmentation */

/** After the last change of a question whose picture is known, before it is asked by itself. */
const SETTLE_MS = 400;

/** What of the address belongs to panels, by the panel that it opens. */
const OPENED = /** @type {const} */ (["attribution", "place", "ablation"]);

/** One picture, one question, one result, and at most one request for it under way. */
class Lab {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.root = root;
    this.form = part(root, "[data-ask]", HTMLFormElement);
    this.problem = part(this.form, "[data-problem]", HTMLElement);
    /** Id of the picture; null while there is none or it is on its way to the server. */
    this.image = root.dataset.image || null;
    /** @type {import("./picture.js").Chosen | null} what was chosen and has not reached the server */
    this.chosen = null;
    /** @type {Segmentation | null} the result that is shown */
    this.segmentation = null;
    /** @type {Stage | null} */
    this.stage = null;
    /** Whether the result that is shown answers the question that is asked. */
    this.fresh = false;
    /** @type {Record<(typeof OPENED)[number], string | null>} ids of what panels show */
    this.opened = { attribution: null, place: null, ablation: null };
    /** @type {number | undefined} */
    this.settling = undefined;
    this.drawn = new Drawn(root.dataset.model ?? "");
    this.work = new Work({
      progress: part(this.form, "[data-progress]", HTMLElement),
      elapsed: part(this.form, "[data-elapsed]", HTMLElement),
      cancel: part(this.form, "[data-cancel]", HTMLElement),
      problem: this.problem,
      doing: "Segmenting",
    });
    this.picture = new Picture(root, {
      stage: part(root, "[data-part=stage]", HTMLElement),
      onChoose: (chosen) => void this.#takePicture(chosen),
    });
    this.chips = new Chips(part(root, "[data-chips]", HTMLElement), {
      most: Number(root.dataset.maxPrompts),
      longest: Number(root.dataset.maxCharacters),
      onChange: () => this.#changed(),
      onRefused: (why) => showProblem(this.problem, why),
    });
    const settings = part(root, "[data-settings]", HTMLElement);
    this.settings = new Settings(settings, () => this.#changed());
    this.why = new Why(part(root, "[data-panel=why]", HTMLElement), this);
    this.score = new Score(part(root, "[data-panel=score]", HTMLElement), this);
    this.whatIf = new WhatIf(part(root, "[data-panel=what-if]", HTMLElement), this);
    this.trial = new Trial(part(root, "[data-trial]", HTMLElement), this);
    this.panels = part(root, "[data-panels]", HTMLElement);
    this.tabs = new Tabs(this.panels, () => {
      this.#settle();
      this.#panelChosen();
    });
    this.steps = new Steps({
      undo: part(this.form, "[data-undo]", HTMLButtonElement),
      redo: part(this.form, "[data-redo]", HTMLButtonElement),
      onMove: () => void this.#restore(),
    });
    this.#wireForm();
    if (root.dataset.live === "loading") awaitModel(this.form, root.dataset.model ?? "");
    void this.#begin();
  }

  /** @param {"attributions" | "ablations"} what */
  endpoint(what) {
    return `${this.root.dataset.model}/${what}`;
  }

  /**
   * A new step: panels say what they show now.
   * @param {Partial<typeof this.opened>} change
   */
  step(change) {
    Object.assign(this.opened, change);
    this.#push();
  }

  /**
   * The same step, of which a panel shows more.
   * @param {Partial<typeof this.opened>} change
   */
  note(change) {
    Object.assign(this.opened, change);
    this.#settle();
  }

  /** @param {string} address of a pair */
  switchOff = (address) => {
    this.showPanel("what-if");
    this.whatIf.switchOff(address);
  };

  /** Ask the server for a segmentation and show it, unless something newer was asked since. */
  async segment() {
    clearTimeout(this.settling);
    this.problem.hidden = true;
    if (!this.chips.commit()) return;
    clearTimeout(this.settling);
    if (this.fresh || (this.image === null && this.work.busy)) return;
    if (this.image === null && this.chosen) return this.#takePicture(this.chosen);
    if (this.image === null) return showProblem(this.problem, "Choose a picture first.");
    if (this.chips.values.length === 0) {
      showProblem(this.problem, "Say what to look for: type a word and press Enter.");
      this.chips.input.focus();
      return;
    }
    const question = this.#question();
    await this.work.run(
      async (signal) => {
        const made = await post(this.#segmentations, question, signal);
        return { made, html: await this.drawn.page(made.url, signal) };
      },
      ({ made, html }) => {
        this.opened = { attribution: null, place: null, ablation: null };
        this.#show(html, made);
        this.#push();
        announce("The result is ready.");
        this.#panelChosen();
      },
    );
  }

  /**
   * Give a picture to the server, and begin with its own words where none are asked for.
   * @param {import("./picture.js").Chosen} chosen
   */
  async #takePicture(chosen) {
    clearTimeout(this.settling);
    this.image = null;
    this.chosen = chosen;
    this.#forgetResult();
    // Nothing of the picture before may be shared under this one.
    this.#tellShare();
    /** @type {string[]} */
    let first = [];
    const taken = await this.work.run(
      (signal) => upload(`${this.root.dataset.model}/images`, chosen, signal),
      (image) => {
        this.image = image.id;
        this.chosen = null;
        rememberUpload(image.id, image.delete_token);
        offerWords(this.form, image.suggestions);
        first = image.first_prompts.map(shown);
      },
    );
    if (!taken) {
      // Refused or cancelled: a step of its own, so that the address no longer says the one before.
      if (this.chosen === chosen) this.#push();
      return;
    }
    if (this.chips.values.length === 0) {
      this.chips.set(first);
      announce(`Looking for the words that the picture is most like: ${first.join(", ")}`);
    }
    if (this.chips.values.length > 0) await this.segment();
    else this.#push();
  }

  get #segmentations() {
    return `${this.root.dataset.model}/segmentations`;
  }

  /** What is asked, as the API takes it; synonyms of a prompt are set apart by slashes here. */
  #question() {
    return {
      image_id: this.image,
      prompts: this.chips.values.map(listed),
      ...this.settings.asked(),
    };
  }

  #wireForm() {
    this.root.addEventListener("click", (event) => {
      const target = /** @type {HTMLElement} */ (event.target);
      const word = target.closest("[data-add-prompt]");
      if (word) this.chips.add(word.getAttribute("data-add-prompt") ?? "");
      const method = target.closest("[data-use-method]")?.getAttribute("data-use-method");
      if (method) part(this.form, `[name=method][value=${method}]`, HTMLInputElement).click();
      if (target.closest("[data-compare]")) this.settings.beside.click();
      const deletes = target.closest("[data-delete-upload]");
      if (deletes instanceof HTMLElement && pressedTwice(deletes, "Press again to delete for good"))
        void this.#deletePicture();
      const { segmentation } = this;
      if (segmentation && target.closest("[data-areas-file]"))
        save(`areas-${segmentation.id.slice(0, 8)}.csv`, "text/csv", areasOf(segmentation));
      if (target.closest("[data-copy-question]"))
        void copy(target, curlOf(this.#segmentations, this.#question()));
    });
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.segment();
    });
  }

  /** What the page was opened with. */
  async #begin() {
    const query = this.#query();
    const shown = this.root.querySelector("[data-segmentation]");
    if (shown instanceof HTMLElement) await this.#openResult(shown.dataset.segmentation ?? "");
    await this.#openPanels(query);
    this.root.dispatchEvent(new Event("lab-listens", { bubbles: true }));
    this.#tellShare();
    const off = query.getAll("off");
    if (this.segmentation && off.length > 0) off.forEach(this.switchOff);
    if (this.segmentation === null && this.image !== null && this.chips.values.length > 0)
      void this.segment();
  }

  /**
   * The result that the server has drawn into the page.
   * @param {string} id
   */
  async #openResult(id) {
    try {
      this.#enter(await this.drawn.result(id));
    } catch (error) {
      showProblem(this.problem, error);
    }
  }

  /**
   * Bring a result to life: its stage, its legend, and the panels that can be asked about it.
   * @param {Segmentation} made
   */
  #enter(made) {
    this.drawn.keep(made);
    this.segmentation = made;
    this.image = made.image;
    this.fresh = true;
    this.stage = showResult(this.root, made);
    this.stage?.offerCells(made, (row, column) => {
      this.showPanel("why");
      void this.why.choose(row, column);
    });
    this.panels.hidden = false;
    tellKept(this.root);
    this.why.renew();
    this.score.renew();
    this.whatIf.renew();
    const button = this.root.querySelector("[data-delete-upload]");
    if (button instanceof HTMLElement) button.hidden = !owns(made.image);
    this.trial.renew().catch((error) => showProblem(this.problem, error));
  }

  /**
   * The server draws results, so one that is new looks like one that was opened by its address.
   * @param {string} html
   * @param {Segmentation | null} made
   * @returns {Document} the page that was drawn
   */
  #show(html, made) {
    const drawn = new DOMParser().parseFromString(html, "text/html");
    replaceParts(this.root, drawn);
    document.title = drawn.title;
    this.#isCurrent();
    part(this.root, "[data-drop]", HTMLElement).classList.toggle("drop--filled", made !== null);
    if (made) this.#enter(made);
    else this.#forgetResult();
    return drawn;
  }

  /** What is shown belongs to what is asked. */
  #isCurrent() {
    this.root.classList.remove("is-stale");
    setInert(this.root, false);
  }

  /** There is no result, at least not of this picture. */
  #forgetResult() {
    this.work.drop();
    this.problem.hidden = true;
    this.fresh = false;
    this.segmentation = null;
    this.stage = null;
    this.opened = { attribution: null, place: null, ablation: null };
    this.panels.hidden = true;
    this.#isCurrent();
    emptyParts(this.root);
  }

  /** Show what the address says, after undo, redo, back or forward. */
  async #restore() {
    this.work.drop();
    this.chosen = null;
    clearTimeout(this.settling);
    this.problem.hidden = true;
    const query = this.#query();
    const id = query.get("segmentation");
    try {
      if (id === null || id !== this.segmentation?.id || !this.fresh) await this.#restoreResult(query, id);
      await this.#openPanels(query);
      this.#tellShare();
      announce("Restored");
    } catch (error) {
      showProblem(this.problem, error);
    }
  }

  /**
   * @param {URLSearchParams} query
   * @param {string | null} id
   */
  async #restoreResult(query, id) {
    const drawnBy = new URLSearchParams(query);
    for (const name of [...OPENED, "panel"]) drawnBy.delete(name);
    const html = await this.drawn.page(`${this.root.dataset.lab}?${drawnBy}`);
    const made = id === null ? null : await this.drawn.result(id);
    const drawn = this.#show(html, made);
    const chips = /** @type {NodeListOf<HTMLElement>} */ (
      drawn.querySelectorAll("[data-chip-list] [data-prompt]")
    );
    this.chips.set([...chips].map((chip) => chip.dataset.prompt ?? ""));
    this.settings.take(drawn);
    this.image = made?.image ?? query.get("image");
    this.picture.forget();
  }

  /**
   * What panels show, as far as the address says.
   * @param {URLSearchParams} query
   */
  async #openPanels(query) {
    for (const name of OPENED) this.opened[name] = query.get(name);
    const { attribution, place, ablation } = this.opened;
    this.tabs.select(query.get("panel") ?? "");
    if (attribution) await this.score.open(attribution);
    if (place) await this.why.open(place);
    if (ablation) await this.whatIf.open(ablation);
    else if (this.whatIf.changes.length > 0) {
      this.whatIf.reset();
      if (this.segmentation) this.stage?.showResult(this.segmentation.results[0]);
    }
  }

  /**
   * Show the panel that the next step is about.
   * @param {string} name
   */
  showPanel(name) {
    if (this.tabs.selected !== name) {
      this.tabs.select(name);
      this.#panelChosen();
    }
    // On a telephone the panel is far below the picture; beside it, nothing needs to move.
    const top = this.panels.getBoundingClientRect().top;
    if (top < 0 || top > innerHeight / 2) this.panels.scrollIntoView();
  }

  /** A panel is looked at: what it shows by itself is asked now. */
  #panelChosen() {
    if (!this.fresh) return;
    if (this.tabs.selected === "score") void this.score.ask("note");
    if (this.tabs.selected === "what-if") void this.whatIf.ask("note");
    else if (this.segmentation) this.stage?.showResult(this.segmentation.results[0]);
  }

  /** What is shown no longer belongs to what is asked: dim it, and ask again when that has settled. */
  #changed() {
    this.problem.hidden = true;
    if (this.image !== null) this.work.drop();
    clearTimeout(this.settling);
    this.fresh = false;
    this.root.classList.toggle("is-stale", this.segmentation !== null);
    // Without a word no other result is on its way, and the one that is shown answers nothing.
    setInert(this.root, this.segmentation !== null && this.chips.values.length === 0);
    // The address stays that of the result that is shown, so that undo leads back to it.
    if (!this.segmentation) this.#settle();
    else if (this.chips.values.length > 0)
      this.settling = setTimeout(() => void this.segment(), SETTLE_MS);
  }

  /** The same step under an address that says more; a share keeps its own. */
  #settle() {
    if (location.pathname === this.root.dataset.lab) this.steps.replace(this.#address());
    this.#tellShare();
  }

  #push() {
    this.steps.push(this.#address());
    this.#tellShare();
    // A share shows what was shared; what is done from there is the visitor's own.
    document.querySelector("[data-share-id]")?.remove();
  }

  /** The address of what is shown and asked. */
  #address() {
    const query = new URLSearchParams();
    if (this.image) query.set("image", this.image);
    if (this.fresh && this.segmentation) {
      query.set("segmentation", this.segmentation.id);
      for (const name of OPENED) {
        const id = this.opened[name];
        if (id) query.set(name, id);
      }
      if (this.tabs.selected !== "result") query.set("panel", this.tabs.selected);
    } else {
      for (const prompt of this.chips.values) query.append("prompts", prompt);
      this.settings.addTo(query);
    }
    for (const address of this.trial.pairs) query.append("pairs", address);
    return `${this.root.dataset.lab}${query.size > 0 ? `?${query}` : ""}`;
  }

  /** What "share" would share is what is shown now. */
  #tellShare() {
    const dialog = document.getElementById("share");
    if (dialog) dialog.dataset.view = this.#address();
  }

  /** What the address says; a shared view is under an address that does not say it. */
  #query() {
    const here = location.pathname === this.root.dataset.lab;
    return new URLSearchParams(here ? location.search : this.root.dataset.state);
  }

  async #deletePicture() {
    if (this.image === null) return;
    try {
      await deleteOwned(this.root.dataset.model ?? "", this.image);
      leaveWord("Deleted: the picture and all that was made of it are gone.");
      location.assign(this.root.dataset.lab ?? "/");
    } catch (error) {
      showProblem(this.problem, error);
    }
  }
}

/**
 * A prompt as people see it: between its synonyms a slash in place of a comma.
 * @param {string} prompt
 */
function shown(prompt) {
  return prompt.replaceAll(", ", " / ");
}

/**
 * A prompt as the API takes it: between its synonyms a comma in place of a slash.
 * @param {string} prompt
 */
function listed(prompt) {
  return prompt.split(/(?:^| +)\/(?: +|$)/).filter(Boolean).join(", ") || prompt;
}

/**
 * Bring a result's stage and legend to life.
 * @param {ParentNode} root
 * @param {Segmentation} [made]
 * @returns {Stage | null} null where there is no result
 */
function showResult(root, made) {
  const figure = root.querySelector("[data-segmentation]");
  if (!(figure instanceof HTMLElement)) return null;
  const stage = new Stage(figure, classesOf(root, made?.classes));
  wireLegend(root, (place) => stage.isolate(place));
  return stage;
}

const root = document.querySelector("[data-lab]");
if (root instanceof HTMLElement) new Lab(root);
else showResult(document);
