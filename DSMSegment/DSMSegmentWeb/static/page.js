// What the page needs of the browser itself: sending files, a key that works wherever the focus is, and waiting for a
// server that does not answer.
(function () {
  const state = () => window.trame.state;

  async function open(files) {
    if (!files.length) return;
    const isScan = files.length > 1 || !/\.seg[^/]*\.nrrd$/i.test(files[0].name); // segments are added to the open one
    if (isScan && state().get("rows").some((row) => row.id) &&
        !window.confirm("Opening another scan closes this one and its segments. Go on?")) return;
    const name = files.length > 1 ? "The folder" : files[0].name;
    if (files.reduce((sum, file) => sum + file.size, 0) > state().get("max_upload_bytes")) {
      state().set("error", `${name} is too large to be sent. Crop it, or start the server with its path.`);
      return;
    }
    document.getElementById("dsm-status").focus(); // out of the prompt box, which keeps what it shows while it has the focus
    state().set("sending", true);
    try {
      // The server puts the reason of a refusal on the page itself.
      await (files.length > 1 ? sendFolder(files) : sendFile(files[0]));
    } catch (error) {
      state().set("error", `${name} could not be sent (${error.message}). Is the server still running?`);
    }
    state().set("sending", false);
  }

  function sendFile(file) {
    return fetch(`upload?name=${encodeURIComponent(file.name)}`, { method: "POST", body: file });
  }

  function sendFolder(files) {
    const form = new FormData();
    for (const file of files) form.append("file", file, "file"); // names stay here: they may be those of patients
    return fetch("upload-folder", { method: "POST", body: form });
  }

  window.dsmOpen = function (input) {
    const files = [...input.files];
    input.value = ""; // so that choosing the same file again is a change
    open(files);
  };

  const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase().replaceAll("œ", "oe").replaceAll("æ", "ae");

  // Where what is typed is in a name, whatever its accents; -1 for nowhere.
  window.dsmFind = (name, typed) => plain(name).indexOf(plain(typed));

  // The list of names: one that is found by its name in another language has that before it.
  window.dsmCompletions = function (vocabulary, typed, chosen) {
    const wanted = plain((typed || "").trim());
    if (wanted.length < 2) return vocabulary;
    return vocabulary.map((item) => {
      if (window.dsmFind(item.title, wanted) >= 0 || chosen.includes(item.value)) return item;
      const name = item.names.find((one) => plain(one).startsWith(wanted));
      return name ? { ...item, title: `${name} – ${item.title}` } : item;
    });
  };

  // The list scrolls to the selected result, wherever it was selected.
  window.dsmShowSelected = function () {
    setTimeout(() => document.querySelector(".dsm-rows .selected")?.scrollIntoView({ block: "nearest" }));
  };

  // The files of all folders below, one list.
  async function filesOf(entry) {
    if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
    const reader = entry.createReader();
    const files = [];
    for (;;) {
      const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
      if (!some.length) return files;
      for (const child of some) files.push(...(await filesOf(child)));
    }
  }

  let dragging;
  // No event surely says that a drag is over; while it is not, `dragover` comes several times a second.
  function showDrop(shown) {
    clearTimeout(dragging);
    document.body.classList.toggle("dsm-drop", shown);
    if (shown) dragging = setTimeout(() => showDrop(false), 1500);
  }

  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    showDrop(event.dataTransfer.types.includes("Files"));
  });
  document.addEventListener("drop", async (event) => {
    event.preventDefault();
    showDrop(false);
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean);
    open((await Promise.all(entries.map(filesOf))).flat());
  });

  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      // Out of the prompt box first: it takes up what was typed, and its list does not open over the results.
      document.getElementById("dsm-status").focus();
      setTimeout(() => document.getElementById("dsm-segment")?.click(), 50);
    }
  });

  // Keys for buttons, wherever the mouse is; in a text box they mean what they always mean.
  document.addEventListener("keydown", (event) => {
    if (event.target.matches("input:not([type=range], [type=checkbox]), textarea, select")) return;
    const key = (event.ctrlKey || event.metaKey ? "Ctrl+" : "") + event.key;
    if (key === "Escape" && document.querySelector(".v-overlay--active")) return; // it closes a dialog or a menu
    const button = {
      Backspace: "dsm-click-back", Escape: state().get("running") ? "dsm-cancel" : "dsm-click-done", "?": "dsm-show-keys",
      "Ctrl+z": "dsm-undo", "Ctrl+y": "dsm-redo", "Ctrl+Z": "dsm-redo",
    }[key];
    if (button) {
      document.getElementById(button)?.click();
      if (event.ctrlKey || event.metaKey) event.preventDefault(); // the browser has a use for some of them, too
    }
    // Diameter of the brush, within the limits of its slider.
    const wider = { "[": -2, "]": 2 }[key];
    if (wider) state().set("brush_mm", Math.min(60, Math.max(2, state().get("brush_mm") + wider)));
  });

  // Slices by the arrow keys, in the view under the mouse, wherever no control has a use for them.
  const USES_ARROWS = "input, textarea, select, summary, [role=slider], [role=listbox], [role=option], [role=menu]";
  let pressed = false;
  for (const [kind, value] of [["pointerdown", true], ["pointerup", false], ["pointercancel", false]])
    window.addEventListener(kind, () => { pressed = value; }, true);

  document.addEventListener("keydown", (event) => {
    const direction = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1 }[event.key];
    if (!direction || pressed || event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return;
    if (event.target.matches(USES_ARROWS) || document.querySelector(".v-overlay--active")) return;
    const slices = document.querySelector(".layout-grid-item:hover .view-slider")?.dataset;
    if (!slices) return;
    event.preventDefault(); // the panel must not scroll
    const [position, step, lowest, highest] = ["position", "step", "lowest", "highest"].map((name) => state().get(slices[name]));
    state().set(slices.position, Math.min(highest, Math.max(lowest, position + direction * step)));
  });

  // A slider of the panel that was used last must not take keys that are meant for the view under the mouse.
  document.addEventListener("pointerover", (event) => {
    const view = event.target.closest(".layout-grid-item");
    const used = document.activeElement;
    if (view && !pressed && !view.contains(event.relatedTarget) && used.matches("[role=slider], input[type=range]") &&
        !used.closest(".layout-grid-item")) used.blur();
  });

  document.addEventListener("dblclick", (event) => {
    const view = event.target.closest(".layout-grid-item");
    // Two clicks of a tool are two clicks.
    if (view && !state().get("tool") && !event.target.closest("button, .view-slider")) view.querySelector(".dsm-enlarge").click();
  });

  // The pictures of the views come without a description.
  new MutationObserver(() => {
    for (const picture of document.querySelectorAll("img.image-display-area:not([alt])")) {
      const item = picture.closest(".layout-grid-item");
      picture.alt = `${item?.querySelector(".view-corner span")?.innerText || ""} view of the scan`.trim();
    }
  }).observe(document.documentElement, { childList: true, subtree: true });

  // Any answer is worth loading the page again: the scene if it is there, else a page that says that it is gone.
  // A page that is being left has closed its connection, too: loading it again would cancel where its user is going.
  const LEAVING_MS = 60000;
  let left = -LEAVING_MS;
  window.addEventListener("beforeunload", () => { left = performance.now(); });
  setInterval(async () => {
    if (!document.getElementById("dsm-lost") || performance.now() - left < LEAVING_MS) return;
    try {
      await fetch("index.html", { cache: "no-store" });
    } catch {
      return; // still nobody there
    }
    window.location.reload();
  }, 1000);
})();
