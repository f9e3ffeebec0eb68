(function () {
  "use strict";
  var table = document.querySelector(".all"), body = table.tBodies[0], heads = table.tHead.rows[0].cells;
  var order = document.getElementById("order"), find = document.getElementById("find"), none = document.getElementById("none");
  function value(row, column) {
    var cell = row.cells[column];
    return column < 4 ? cell.textContent : Number(cell.dataset.v || -1);
  }
  function sort(column, down) {
    var rows = Array.prototype.slice.call(body.rows);
    rows.sort(function (a, b) {
      var x = value(a, column), y = value(b, column);
      var by = typeof x === "number" ? x - y : x.localeCompare(y, undefined, { numeric: true });
      return down ? -by : by;
    });
    rows.forEach(function (row) { body.appendChild(row); });
    Array.prototype.forEach.call(heads, function (head, at) {
      if (at === column) { head.setAttribute("aria-sort", down ? "descending" : "ascending"); } else { head.removeAttribute("aria-sort"); }
    });
    order.value = column + (down ? "d" : "u");
    if (order.value === "") { order.selectedIndex = -1; }
  }
  Array.prototype.forEach.call(heads, function (head, column) {
    var button = head.firstElementChild;
    button.disabled = false;
    button.addEventListener("click", function () {
      var was = head.getAttribute("aria-sort");
      sort(column, was ? was === "ascending" : column > 3);
    });
  });
  order.addEventListener("change", function () { sort(parseInt(order.value, 10), order.value.slice(-1) === "d"); });
  find.addEventListener("input", function () {
    var wanted = find.value.toLowerCase(), shown = 0;
    Array.prototype.forEach.call(body.rows, function (row) {
      row.hidden = wanted !== "" && row.textContent.toLowerCase().indexOf(wanted) < 0;
      if (!row.hidden) { shown += 1; }
    });
    none.hidden = shown > 0;
  });
  Array.prototype.forEach.call(document.querySelectorAll("pre"), function (log) { log.scrollTop = log.scrollHeight; });
  document.querySelector(".tools").hidden = false;
  var small = matchMedia("(max-width:640px)");
  function narrow() { order.hidden = !small.matches; }
  small.addEventListener("change", narrow);
  narrow();
}());
