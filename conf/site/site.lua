-- SPDX-License-Identifier: Apache-2.0
-- One page of the site of documents: read by pandoc for `make html`, from the project's root, with -M source=FILE.
-- Links lead to pages of the site, or to files that go along; one that leads nowhere ends the run. The navigation has
-- every page of conf/site/pages. What is wider than a phone scrolls by itself, never the page.
local LIST = "conf/site/pages"
local pages, places, folders, absent = {}, {}, {}, {}
local source, here

local function read_list()
    for line in io.lines(LIST) do
        local mark, rest = line:match("^([=+>-]) (.*)")

        if mark == "=" then
            table.insert(pages, {group = rest})
        elseif mark then
            local from, to = rest:match("^(%S+) ?(%S*)$")

            if mark == "-" then
                absent[from] = true
            else
                (mark == ">" and folders or places)[from] = to
            end
        elseif line:match("^%w") then
            local from, to, name = line:match("^(%S+) (%S+) (.+)$")

            table.insert(pages, {source = from, place = to, name = name})
            places[from] = to
        end
    end
end

-- "docs/internals" and "../manual.md" make "docs/manual.md".
local function resolved(folder, target)
    local parts = {}

    for part in (folder .. target):gmatch("[^/]+") do
        if part == ".." then
            assert(table.remove(parts), source .. ": a link leads out of the project: " .. target)
        elseif part ~= "." then
            table.insert(parts, part)
        end
    end
    return table.concat(parts, "/")
end

-- Pages stand at the top or one folder below it.
local function from_here(place)
    local up = here:find("/") and "../" or ""

    return up .. place
end

local function as_link(link)
    local target, anchor = link.target:match("^([^#]*)(#?.*)$")

    if target == "" or target:match("^%a[%w+.-]*:") then
        return nil
    end
    local path = resolved(source:match("^.*/") or "", target)
    if places[path] then
        link.target = from_here(places[path]) .. anchor
        return link
    end
    if folders[path] then
        link.target = from_here(folders[path])
        return link
    end
    if absent[path:match("^[^/]+")] then
        return link.content
    end
    error(source .. ": " .. link.target .. " is not on the site: see " .. LIST)
end

local function html(text)
    return pandoc.RawBlock("html", text)
end

local function is_blank(cell)
    return pandoc.utils.stringify(cell.contents or cell.content) == ""
end

-- What scrolls can be reached by the keyboard, and says what it is.
local function scrolling(block, label)
    return {html('<div class="wide" tabindex="0" role="region" aria-label="' .. label .. '">'), block, html("</div>")}
end

local function as_table(whole)
    local filled = false

    for _, row in ipairs(whole.head.rows) do
        for _, cell in ipairs(row.cells) do
            filled = filled or not is_blank(cell)
        end
    end
    if not filled then
        whole.head.rows = {}
    end
    -- Widths that the Markdown's layout suggests are those of a terminal.
    for index, column in ipairs(whole.colspecs) do
        whole.colspecs[index] = {column[1], nil}
    end
    return scrolling(whole, "Table")
end

local function as_code(block)
    block.classes = {}
    return scrolling(block, "Code")
end

local function escaped(text)
    return (text:gsub("[&<>\"]", {["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;"}))
end

local function navigation()
    local lines = {}

    for _, page in ipairs(pages) do
        if page.group then
            if #lines > 0 then
                table.insert(lines, "</ul>")
            end
            table.insert(lines, "<h2>" .. escaped(page.group) .. "</h2>\n<ul>")
        else
            local current = page.source == source and ' aria-current="page"' or ""

            table.insert(lines, '<li><a href="' .. from_here(page.place) .. '"' .. current .. ">" ..
                escaped(page.name) .. "</a></li>")
        end
    end
    table.insert(lines, "</ul>")
    return table.concat(lines, "\n")
end

-- The page before this one in reading order, the one behind it, and this one.
local function neighbours()
    local before, this

    for _, page in ipairs(pages) do
        if page.source and this then
            return before, page, this
        elseif page.source == source then
            this = page
        elseif page.source then
            before = page
        end
    end
    return before, nil, assert(this, source .. ": is not in " .. LIST)
end

local function step(page, relation, word)
    if not page then
        return ""
    end
    return '<a rel="' .. relation .. '" href="' .. from_here(page.place) .. '">' .. word .. " " ..
        escaped(page.name) .. "</a>"
end

local function begin(meta)
    source = pandoc.utils.stringify(meta.source)
    read_list()
    here = assert(places[source], source .. ": is not in " .. LIST)
end

local function finish(doc)
    local before, after, this = neighbours()

    doc.meta.pagetitle = here == "index.html" and "mod_idempotency" or this.name .. " · mod_idempotency"
    doc.meta.style = from_here("style.css")
    doc.meta.home = from_here("index.html")
    doc.meta.navigation = html(navigation())
    doc.meta.steps = html(step(before, "prev", "←") .. "\n" .. step(after, "next", "→"))
    return doc
end

return {{Meta = begin}, {Link = as_link, Table = as_table, CodeBlock = as_code}, {Pandoc = finish}}
