package dashboards

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// The types below are as much of Grafana's dashboard schema (version 38, Grafana 10.0) as the dashboards use. A field
// that is not here is unknown, and so is a value that a field of Grafana's could not have.

type dashboard struct {
	ID                   *int       `json:"id"` // null: the importing Grafana gives one
	UID                  string     `json:"uid"`
	Title                string     `json:"title"`
	Description          string     `json:"description"`
	Tags                 []string   `json:"tags"`
	Editable             bool       `json:"editable"`
	GraphTooltip         int        `json:"graphTooltip"`
	SchemaVersion        int        `json:"schemaVersion"`
	Refresh              string     `json:"refresh"`
	Timezone             string     `json:"timezone"`
	WeekStart            string     `json:"weekStart"`
	FiscalYearStartMonth int        `json:"fiscalYearStartMonth"`
	Time                 timeRange  `json:"time"`
	LiveNow              bool       `json:"liveNow"`
	Links                []dashLink `json:"links"`
	Templating           struct {
		List []variable `json:"list"`
	} `json:"templating"`
	Annotations struct {
		List []annotation `json:"list"`
	} `json:"annotations"`
	Panels []panel `json:"panels"`
}

type timeRange struct {
	From string `json:"from"`
	To   string `json:"to"`
}

type datasource struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

type dashLink struct {
	Type        string   `json:"type"`
	Title       string   `json:"title"`
	Tags        []string `json:"tags"`
	AsDropdown  bool     `json:"asDropdown"`
	IncludeVars bool     `json:"includeVars"`
	KeepTime    bool     `json:"keepTime"`
	TargetBlank bool     `json:"targetBlank"`
	Icon        string   `json:"icon"`
	Tooltip     string   `json:"tooltip"`
	URL         string   `json:"url"`
}

type variable struct {
	Name        string        `json:"name"`
	Label       string        `json:"label"`
	Description string        `json:"description"`
	Type        string        `json:"type"`
	Datasource  *datasource   `json:"datasource"`
	Query       variableQuery `json:"query"`
	Regex       string        `json:"regex"`
	Sort        int           `json:"sort"`
	Refresh     int           `json:"refresh"`
	Hide        int           `json:"hide"`
	IncludeAll  bool          `json:"includeAll"`
	AllValue    string        `json:"allValue"`
	Multi       bool          `json:"multi"`
	Options     []struct{}    `json:"options"`
	SkipURLSync bool          `json:"skipUrlSync"`
	Current     struct {
		Selected bool     `json:"selected"`
		Text     []string `json:"text"`
		Value    []string `json:"value"`
	} `json:"current"`
}

// variableQuery is what is asked for: of a data source variable the type, as text, of a query variable a query.
type variableQuery struct {
	Query string `json:"query"`
	RefID string `json:"refId"`
}

func (q *variableQuery) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		return json.Unmarshal(data, &q.Query)
	}
	type plain variableQuery
	return strictly(data, (*plain)(q))
}

type annotation struct {
	BuiltIn         int        `json:"builtIn"`
	Datasource      datasource `json:"datasource"`
	Enable          bool       `json:"enable"`
	Hide            bool       `json:"hide"`
	IconColor       string     `json:"iconColor"`
	Name            string     `json:"name"`
	Type            string     `json:"type"`
	Expr            string     `json:"expr"`
	Step            string     `json:"step"`
	TitleFormat     string     `json:"titleFormat"`
	TextFormat      string     `json:"textFormat"`
	TagKeys         string     `json:"tagKeys"`
	UseValueForTime bool       `json:"useValueForTime"`
}

type panel struct {
	ID              int              `json:"id"`
	Type            string           `json:"type"`
	Title           string           `json:"title"`
	Description     string           `json:"description"`
	PluginVersion   string           `json:"pluginVersion"`
	Datasource      *datasource      `json:"datasource"`
	GridPos         gridPos          `json:"gridPos"`
	Interval        string           `json:"interval"`
	FieldConfig     fieldConfig      `json:"fieldConfig"`
	Options         json.RawMessage  `json:"options"` // one of the options below, by type
	Targets         []target         `json:"targets"`
	Transformations []transformation `json:"transformations"`
	Collapsed       bool             `json:"collapsed"` // of a row
	Panels          []struct{}       `json:"panels"`    // of a collapsed row; none is
}

type gridPos struct{ X, Y, W, H int }

type target struct {
	RefID        string     `json:"refId"`
	Datasource   datasource `json:"datasource"`
	Expr         string     `json:"expr"`
	Instant      bool       `json:"instant"`
	Range        bool       `json:"range"`
	Format       string     `json:"format"`
	LegendFormat string     `json:"legendFormat"`
}

type transformation struct {
	ID      string `json:"id"`
	Options struct {
		ExcludeByName map[string]bool   `json:"excludeByName"`
		IndexByName   map[string]int    `json:"indexByName"`
		RenameByName  map[string]string `json:"renameByName"`
	} `json:"options"`
}

type fieldConfig struct {
	Defaults  fieldDefaults `json:"defaults"`
	Overrides []override    `json:"overrides"`
}

type fieldDefaults struct {
	Color       color           `json:"color"`
	Unit        string          `json:"unit"`
	Decimals    *int            `json:"decimals"`
	Min         *float64        `json:"min"`
	Max         *float64        `json:"max"`
	DisplayName string          `json:"displayName"`
	NoValue     string          `json:"noValue"`
	Mappings    []mapping       `json:"mappings"`
	Thresholds  thresholds      `json:"thresholds"`
	Links       []dataLink      `json:"links"`
	Custom      json.RawMessage `json:"custom"` // one of the customs below, by type
}

type color struct {
	Mode       string `json:"mode"`
	FixedColor string `json:"fixedColor"`
}

type mapping struct {
	Type    string                  `json:"type"`
	Options map[string]mappedResult `json:"options"`
}

type mappedResult struct {
	Text  string `json:"text"`
	Color string `json:"color"`
	Index int    `json:"index"`
}

type thresholds struct {
	Mode  string `json:"mode"`
	Steps []struct {
		Color string   `json:"color"`
		Value *float64 `json:"value"` // null: from minus infinity
	} `json:"steps"`
}

type dataLink struct {
	Title       string `json:"title"`
	URL         string `json:"url"`
	TargetBlank bool   `json:"targetBlank"`
}

type override struct {
	Matcher struct {
		ID      string `json:"id"`
		Options string `json:"options"`
	} `json:"matcher"`
	Properties []struct {
		ID    string          `json:"id"`
		Value json.RawMessage `json:"value"` // one of the properties below, by id
	} `json:"properties"`
}

// properties are what an override can set.
var properties = map[string]func() any{
	"color":              func() any { return new(color) },
	"unit":               func() any { return new(string) },
	"decimals":           func() any { return new(int) },
	"min":                func() any { return new(float64) },
	"max":                func() any { return new(float64) },
	"noValue":            func() any { return new(string) },
	"mappings":           func() any { return new([]mapping) },
	"thresholds":         func() any { return new(thresholds) },
	"links":              func() any { return new([]dataLink) },
	"custom.align":       func() any { return new(string) },
	"custom.cellOptions": func() any { return new(cellOptions) },
	"custom.lineStyle":   func() any { return new(lineStyle) },
	"custom.lineWidth":   func() any { return new(int) },
	"custom.width":       func() any { return new(int) },
}

type cellOptions struct {
	Type             string `json:"type"`
	Mode             string `json:"mode"`
	ValueDisplayMode string `json:"valueDisplayMode"`
}

type lineStyle struct {
	Fill string `json:"fill"`
	Dash []int  `json:"dash"`
}

type legend struct {
	ShowLegend  bool     `json:"showLegend"`
	DisplayMode string   `json:"displayMode"`
	Placement   string   `json:"placement"`
	Calcs       []string `json:"calcs"`
}

type tooltip struct {
	Mode string `json:"mode"`
	Sort string `json:"sort"`
}

type reduceOptions struct {
	Calcs  []string `json:"calcs"`
	Fields string   `json:"fields"`
	Values bool     `json:"values"`
}

// panelType is what the options and the custom field configuration of a panel type look like.
type panelType struct {
	options, custom func() any
}

// panelTypes are those used: all of them are part of Grafana itself.
var panelTypes = map[string]panelType{
	"row": {},
	"text": {options: func() any {
		return &struct {
			Mode    string `json:"mode"`
			Content string `json:"content"`
		}{}
	}},
	"stat": {options: func() any {
		return &struct {
			ReduceOptions reduceOptions `json:"reduceOptions"`
			Orientation   string        `json:"orientation"`
			TextMode      string        `json:"textMode"`
			ColorMode     string        `json:"colorMode"`
			GraphMode     string        `json:"graphMode"`
			JustifyMode   string        `json:"justifyMode"`
		}{}
	}},
	"bargauge": {options: func() any {
		return &struct {
			ReduceOptions reduceOptions `json:"reduceOptions"`
			Orientation   string        `json:"orientation"`
			DisplayMode   string        `json:"displayMode"`
			ValueMode     string        `json:"valueMode"`
			ShowUnfilled  bool          `json:"showUnfilled"`
			MinVizWidth   int           `json:"minVizWidth"`
			MinVizHeight  int           `json:"minVizHeight"`
		}{}
	}},
	"table": {
		options: func() any {
			return &struct {
				ShowHeader bool   `json:"showHeader"`
				CellHeight string `json:"cellHeight"`
				SortBy     []struct {
					DisplayName string `json:"displayName"`
					Desc        bool   `json:"desc"`
				} `json:"sortBy"`
				Footer struct {
					Show      bool     `json:"show"`
					Reducer   []string `json:"reducer"`
					CountRows bool     `json:"countRows"`
				} `json:"footer"`
			}{}
		},
		custom: func() any {
			return &struct {
				Align       string      `json:"align"`
				CellOptions cellOptions `json:"cellOptions"`
				Inspect     bool        `json:"inspect"`
			}{}
		},
	},
	"timeseries": {
		options: func() any {
			return &struct {
				Legend  legend  `json:"legend"`
				Tooltip tooltip `json:"tooltip"`
			}{}
		},
		custom: func() any {
			return &struct {
				DrawStyle         string `json:"drawStyle"`
				LineInterpolation string `json:"lineInterpolation"`
				LineWidth         int    `json:"lineWidth"`
				FillOpacity       int    `json:"fillOpacity"`
				ShowPoints        string `json:"showPoints"`
				PointSize         int    `json:"pointSize"`
				SpanNulls         bool   `json:"spanNulls"`
				Stacking          struct {
					Mode  string `json:"mode"`
					Group string `json:"group"`
				} `json:"stacking"`
				AxisPlacement   string `json:"axisPlacement"`
				ThresholdsStyle struct {
					Mode string `json:"mode"`
				} `json:"thresholdsStyle"`
			}{}
		},
	},
	"state-timeline": {
		options: func() any {
			return &struct {
				MergeValues bool    `json:"mergeValues"`
				ShowValue   string  `json:"showValue"`
				AlignValue  string  `json:"alignValue"`
				RowHeight   float64 `json:"rowHeight"`
				Legend      legend  `json:"legend"`
				Tooltip     tooltip `json:"tooltip"`
			}{}
		},
		custom: func() any {
			return &struct {
				LineWidth   int `json:"lineWidth"`
				FillOpacity int `json:"fillOpacity"`
			}{}
		},
	},
}

// choices are the values that a field may have, by its name, with that of the object around it where the name alone has
// several meanings.
var choices = map[string][]string{
	"alignValue":           {"left", "center", "right"},
	"axisPlacement":        {"auto", "left", "right", "hidden"},
	"cellHeight":           {"sm", "md", "lg"},
	"color.mode":           {"fixed", "thresholds", "palette-classic"},
	"colorMode":            {"none", "value", "background", "background_solid"},
	"drawStyle":            {"line", "bars", "points"},
	"fill":                 {"solid", "dash", "dot"},
	"format":               {"time_series", "table"},
	"graphMode":            {"none", "line", "area"},
	"justifyMode":          {"auto", "center"},
	"legend.displayMode":   {"list", "table", "hidden"},
	"lineInterpolation":    {"linear", "smooth", "stepBefore", "stepAfter"},
	"options.displayMode":  {"basic", "lcd", "gradient"},
	"options.mode":         {"markdown", "html", "code"},
	"orientation":          {"auto", "horizontal", "vertical"},
	"placement":            {"bottom", "right"},
	"showPoints":           {"auto", "never", "always"},
	"showValue":            {"auto", "never", "always"},
	"sort":                 {"none", "asc", "desc"},
	"stacking.mode":        {"none", "normal", "percent"},
	"textMode":             {"auto", "value", "value_and_name", "name", "none"},
	"thresholds.mode":      {"absolute", "percentage"},
	"thresholdsStyle.mode": {"off", "line", "dashed", "area", "line+area", "dashed+area"},
	"tooltip.mode":         {"single", "multi", "none"},
	"valueDisplayMode":     {"color", "text", "hidden"},
	"valueMode":            {"color", "text", "hidden"},
}

// strictly decodes one JSON value and refuses fields that the type does not have.
func strictly(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return fmt.Errorf("there is more after the value: %w", err)
	}
	return nil
}
