// What the page needs of the browser itself: sending files, and a key that works wherever the focus is.
(function () {
  async function open(files) {
    const state = window.trame.state;
    if (!files.length) return;
    if (state.get("rows").some((row) => row.id) &&
        !window.confirm("Opening another scan closes this one and its segments. Go on?")) return;
    if (files[0].size > state.get("max_upload_bytes")) {
      state.set("error", `${files[0].name} is too large to be sent. Crop it, or start the server with its path.`);
      return;
    }
    state.set("opening", true);
    try {
      // The server puts the reason of a refusal on the page itself.
      await fetch(`upload?name=${encodeURIComponent(files[0].name)}`, { method: "POST", body: files[0] });
    } catch (error) {
      state.set("error", `${files[0].name} could not be sent (${error.message}). Is the server still running?`);
    }
    state.set("opening", false);
  }

  window.dsmOpen = function (input) {
    const files = [...input.files];
    input.value = ""; // so that choosing the same file again is a change
    open(files);
  };

  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    open([...event.dataTransfer.files]);
  });

  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      // Out of the prompt box first: it takes up what was typed, and its list does not open over the results.
      document.getElementById("dsm-status").focus();
      setTimeout(() => document.getElementById("dsm-segment")?.click(), 50);
    }
  });
})();
