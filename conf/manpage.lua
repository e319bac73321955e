-- SPDX-License-Identifier: Apache-2.0
-- The manual as a man page: read by pandoc for `make man`.
-- The manual's title and its table of facts become the NAME that whatis reads; its sections become those of the page.
-- Anchors lead nowhere on paper: their text stays. Tables are too wide for a terminal: each row becomes an entry.
local NAME = "mod_idempotency - makes unsafe requests to Apache httpd safe to retry"

local function without_anchors(link)
    if link.target:sub(1, 1) == "#" then
        return link.content
    end
end

-- What stands under one heading: "heading: cell"; the first cell is the entry's term.
local function entry(row, headers)
    local said = pandoc.List()

    for i = 2, #row do
        local inlines = pandoc.utils.blocks_to_inlines(headers[i])

        if #row > 2 and #inlines > 0 then
            inlines:extend({pandoc.Str(":"), pandoc.Space()})
        else
            inlines = pandoc.List()
        end
        inlines:extend(pandoc.utils.blocks_to_inlines(row[i]))
        said:insert(pandoc.Plain(inlines))
        said:insert(pandoc.Plain({pandoc.LineBreak()}))
    end
    said:remove()
    local lines = pandoc.List()
    for _, block in ipairs(said) do
        lines:extend(block.content)
    end
    return {pandoc.utils.blocks_to_inlines(row[1]), {{pandoc.Plain(lines)}}}
end

local function as_entries(whole)
    local simple = pandoc.utils.to_simple_table(whole)
    local entries = pandoc.List()

    for _, row in ipairs(simple.rows) do
        entries:insert(entry(row, simple.headers))
    end
    return pandoc.DefinitionList(entries)
end

local function page(doc)
    local blocks, begun = pandoc.List({pandoc.Header(1, "NAME"), pandoc.Para(pandoc.Str(NAME))}), false

    for _, block in ipairs(doc.blocks) do
        local is_header = block.t == "Header"

        begun = begun or (is_header and block.level == 2)
        if begun then
            if is_header then
                block.level = block.level - 1
            end
            blocks:insert(block)
        end
    end
    return pandoc.Pandoc(blocks, doc.meta)
end

return {{Link = without_anchors}, {Table = as_entries}, {Pandoc = page}}
